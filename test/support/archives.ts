/** Archives as bytes, well-formed or crafted: what no archiver would write on purpose. */
import { crc32, deflateRawSync } from "node:zlib";

/** One entry of an archive. */
export interface ArchiveEntry {
  /** As written into the archive; a folder's ends in a slash. */
  path: string;
  content?: string;
  /** Target of a symbolic link. */
  link?: string;
  /** Target of a hard link; tar only. */
  hardLink?: string;
  /** A device file; tar only. */
  device?: boolean;
  /** The size the archive claims, where it is not the content's. */
  claimedSize?: number;
  /** Writes a checksum that does not fit the content; zip only. */
  wrongChecksum?: boolean;
  /** Says that a password is needed; zip only. */
  encrypted?: boolean;
  /** Does not say that the path is UTF-8, as macOS does not; zip only. */
  unmarked?: boolean;
  /** The path in the extra field for UTF-8, where the header has another one; zip only. */
  unicodePath?: string;
  /** The extra field is of a path that the header had before; zip only. */
  staleUnicodePath?: boolean;
  /** Claims this method of compression; zip only. */
  method?: number;
  /** May be run as a program. */
  executable?: boolean;
  /** Compressed by deflate; zip only. */
  deflated?: boolean;
}

function permissions(entry: ArchiveEntry): number {
  if (entry.link !== undefined) return 0o120777;
  if (entry.path.endsWith("/")) return 0o040755;
  return entry.executable ? 0o100755 : 0o100644;
}

/** A zip as made on Unix. */
export function zip(entries: ArchiveEntry[]): Buffer {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const name = Buffer.from(entry.path);
    const content = Buffer.from(entry.link ?? entry.content ?? "");
    const packed = entry.deflated ? deflateRawSync(content) : content;
    const extra = unicodePathField(entry);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE((entry.unmarked ? 0 : 0x800) | (entry.encrypted ? 1 : 0), 2); // 0x800: the name is UTF-8
    common.writeUInt16LE(entry.method ?? (entry.deflated ? 8 : 0), 4);
    common.writeUInt16LE(0x5a21, 8); // some day in 2025
    common.writeUInt32LE(entry.wrongChecksum ? 1 : crc32(content), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(entry.claimedSize ?? content.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, name, packed]);
    const made = Buffer.from([20, 3]); // by version 2.0, on Unix
    const central = Buffer.alloc(14);
    central.writeUInt32LE((permissions(entry) << 16) >>> 0, 6);
    central.writeUInt32LE(offset, 10);
    bodies.push(local);
    const ofDirectory = Buffer.from(common);
    ofDirectory.writeUInt16LE(extra.length, 24);
    directory.push(Buffer.concat([Buffer.from("PK\x01\x02"), made, ofDirectory, central, name, extra]));
    offset += local.length;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06");
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...bodies, ...directory, end]);
}

/** Info-ZIP's Unicode Path, 0x7075: its version, the checksum of the header's path, the path. */
function unicodePathField({ path, unicodePath, staleUnicodePath }: ArchiveEntry): Buffer {
  if (unicodePath === undefined) return Buffer.alloc(0);
  const text = Buffer.from(unicodePath);
  const field = Buffer.alloc(9);
  field.writeUInt16LE(0x7075, 0);
  field.writeUInt16LE(5 + text.length, 2);
  field.writeUInt8(1, 4);
  field.writeUInt32LE(crc32(staleUnicodePath ? "before" : path), 5);
  return Buffer.concat([field, text]);
}

/** A tar in the ustar format. */
export function tar(entries: ArchiveEntry[]): Buffer {
  const blocks = entries.flatMap((entry) => {
    const content = Buffer.from(entry.content ?? "");
    const header = Buffer.alloc(512);
    const octal = (value: number, at: number, length: number) =>
      header.write(value.toString(8).padStart(length - 1, "0"), at);
    header.write(entry.path, 0);
    octal(permissions(entry) & 0o777, 100, 8);
    octal(12345, 108, 8);
    octal(12345, 116, 8);
    octal(entry.claimedSize ?? content.length, 124, 12);
    octal(1_750_000_000, 136, 12);
    header.write(tarType(entry), 156);
    header.write(entry.link ?? entry.hardLink ?? "", 157);
    header.write("ustar\x0000", 257, "latin1");
    header.write("someone else", 265);
    header.fill(" ", 148, 156);
    octal(
      header.reduce((sum, byte) => sum + byte, 0),
      148,
      7,
    );
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function tarType(entry: ArchiveEntry): string {
  if (entry.link !== undefined) return "2";
  if (entry.hardLink !== undefined) return "1";
  if (entry.device) return "3";
  return entry.path.endsWith("/") ? "5" : "0";
}
