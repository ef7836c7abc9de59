/** docs/performance.svg: every ratio with its range and its aim, on one logarithmic axis. */
import { isMet, type Row, type Spread } from "./harness.ts";
import { formatRatio } from "./report.ts";

/** A row that has a ratio. */
type Measured = Row & { ratio: Spread };

/** Pixels. */
const SIZE = { width: 900, left: 290, right: 170, top: 64, row: 36, bottom: 64 };

/** Ends of the axis, as powers of ten. */
const AXIS = { from: -3, to: 2 };

const COLOURS = {
  text: "#1f2328",
  ground: "#ffffff",
  faint: "#656d76",
  grid: "#d8dee4",
  met: "#1a7f5a",
  missed: "#c2410c",
  none: "#57606a",
};

/** Where a ratio lies, in pixels from the left; what is off the axis lies at its end. */
export function position(ratio: number): number {
  const part = (Math.log10(ratio) - AXIS.from) / (AXIS.to - AXIS.from);
  return SIZE.left + Math.min(Math.max(part, 0), 1) * (SIZE.width - SIZE.left - SIZE.right);
}

/** The plot of a run's rows; those without a valid round are left out. */
export function plot(rows: Row[], caption: string): string {
  const shown = rows.filter((row): row is Measured => row.ratio !== undefined);
  const height = SIZE.top + shown.length * SIZE.row + SIZE.bottom;
  const end = SIZE.top + shown.length * SIZE.row;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="${COLOURS.text}">`,
    `<title>gpubox against what a person would use instead</title>`,
    `<rect width="${SIZE.width}" height="${height}" fill="${COLOURS.ground}"/>`,
    text(
      16,
      26,
      "Time, bytes or memory of gpubox, as a part of what a person would use instead",
      'font-size="16" font-weight="600"',
    ),
    text(16, 46, caption, faint),
    ...grid(end),
    ...shown.flatMap((row, index) => mark(row, SIZE.top + index * SIZE.row + SIZE.row / 2)),
    ...legend(height - 16),
    "</svg>",
    "",
  ].join("\n");
}

const faint = `font-size="12" fill="${COLOURS.faint}"`;

function text(x: number, y: number, content: string, style = ""): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${style}>${escaped}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number, style: string): string {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" ${style}/>`;
}

function grid(end: number): string[] {
  const powers = Array.from({ length: AXIS.to - AXIS.from + 1 }, (_, index) => 10 ** (AXIS.from + index));
  return powers.flatMap((power) => {
    const x = position(power);
    const style = power === 1 ? `stroke="${COLOURS.faint}"` : `stroke="${COLOURS.grid}"`;
    const label = power === 1 ? "1: the same" : String(Number(power.toPrecision(1)));
    return [line(x, SIZE.top, x, end, style), text(x, end + 16, label, `${faint} text-anchor="middle"`)];
  });
}

function colour(row: Row): string {
  const met = isMet(row);
  return met === undefined ? COLOURS.none : met ? COLOURS.met : COLOURS.missed;
}

function mark(row: Measured, y: number): string[] {
  const { measurement, what, against, ratio, aim } = row;
  const paint = colour(row);
  return [
    text(36, y - 2, String(measurement), 'text-anchor="end" font-weight="600"'),
    text(46, y - 2, what),
    text(46, y + 13, `against ${against}`, faint),
    line(
      position(ratio.min),
      y,
      position(ratio.max),
      y,
      `stroke="${paint}" stroke-width="3" stroke-linecap="round"`,
    ),
    ...(aim === undefined ? [] : [tick(position(aim), y)]),
    dot(position(ratio.median), y, paint),
    text(SIZE.width - SIZE.right + 24, y + 4, formatRatio(ratio), `fill="${paint}"`),
  ];
}

function dot(x: number, y: number, paint: string): string {
  // Hollow where the aim is missed: not everybody sees the colours.
  const fill = paint === COLOURS.missed ? COLOURS.ground : paint;
  return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="5" fill="${fill}" stroke="${paint}" stroke-width="2"/>`;
}

function tick(x: number, y: number): string {
  return line(x, y - 11, x, y + 11, `stroke="${COLOURS.text}" stroke-width="2"`);
}

function legend(y: number): string[] {
  const entries: [string, (x: number) => string][] = [
    ["aim met", (x) => dot(x, y - 4, COLOURS.met)],
    ["aim missed", (x) => dot(x, y - 4, COLOURS.missed)],
    ["no aim, for comparison", (x) => dot(x, y - 4, COLOURS.none)],
    ["aim", (x) => tick(x, y - 4)],
    [
      "least and most of the rounds",
      (x) => line(x - 10, y - 4, x + 6, y - 4, `stroke="${COLOURS.none}" stroke-width="3"`),
    ],
  ];
  let x = 46;
  return entries.flatMap(([label, symbol]) => {
    const parts = [symbol(x), text(x + 12, y, label, faint)];
    x += label.length * 6.6 + 44;
    return parts;
  });
}
