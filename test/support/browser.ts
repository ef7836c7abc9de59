/** Debian's Chromium, as a person has it before them who follows the url of a notebook. */
import { chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import { findSystemProgram } from "../../cli/system/path.ts";

/** Longest wait for anything that a page is to show, in milliseconds. */
const PATIENCE_MS = 60_000;

/** Opens a window of 1100 by 760 pixels while `use` is at work. */
export async function inBrowser<T>(use: (page: Page) => Promise<T>): Promise<T> {
  const browser = await chromium.launch({
    executablePath: findSystemProgram("chromium", process.env.PATH),
    // The tests run as root, as which Chromium has no sandbox; it sees our own pages alone.
    args: ["--no-sandbox"],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1100, height: 760 } });
    page.setDefaultTimeout(PATIENCE_MS);
    return await use(page);
  } finally {
    await browser.close();
  }
}

/**
 * Follows the url of a notebook and runs all cells of a starter, as a person does who sees it for the first time.
 *
 * @param lastWords of its outputs, which are waited for
 * @returns how many pictures the outputs hold
 */
export async function runStarter(
  page: Page,
  url: string,
  name: string,
  lastWords: string,
  patience = PATIENCE_MS,
): Promise<number> {
  await page.goto(url);
  await openNotebook(page, `starters/${name}.ipynb`);
  expect(page.url(), "the token is not left in the address").not.toContain("token");
  const pictures = await runAllCells(page, lastWords, patience);
  expect(await page.getByText("Jupyter news").count(), "nothing of the network is offered").toBe(0);
  expect(await page.locator(".jp-OutputArea-output[data-mime-type$=error]").count()).toBe(0);
  return pictures;
}

/** Opens a notebook of JupyterLab's file browser by its path below the folder that is shown. */
async function openNotebook(page: Page, path: string): Promise<void> {
  const entry = (name: string) => page.locator(".jp-DirListing-item", { hasText: name });
  for (const name of path.split("/")) await entry(name).dblclick();
  await page.locator(".jp-Notebook").waitFor();
}

/** Runs all cells, once there is a kernel, from the menu, and waits for a text in an output. @returns how many pictures the outputs hold */
async function runAllCells(page: Page, lastOutput: string, patience: number): Promise<number> {
  // Before that, the menu runs nothing and says nothing.
  await page.locator("#jp-main-statusbar", { hasText: "| Idle" }).waitFor();
  await page.getByRole("menuitem", { name: "Run", exact: true }).click();
  await page.getByRole("menuitem", { name: "Run All Cells", exact: true }).click();
  const shown = page.locator(".jp-OutputArea-output", { hasText: lastOutput });
  await shown.waitFor({ state: "attached", timeout: patience });
  return await countPictures(page);
}

/** JupyterLab keeps only what is near the window in the page, so it is scrolled through from the top. */
async function countPictures(page: Page): Promise<number> {
  const seen = new Set<string>();
  const notebook = page.locator(".jp-WindowedPanel-outer").first();
  await notebook.evaluate((element) => element.scrollTo(0, 0));
  for (;;) {
    await page.waitForTimeout(300);
    const pictures = page.locator(".jp-OutputArea-output img");
    const sources = await pictures.evaluateAll((all) => all.map((each) => each.getAttribute("src") ?? ""));
    for (const source of sources) seen.add(source);
    const atEnd = await notebook.evaluate((element) => {
      const before = element.scrollTop;
      element.scrollBy(0, element.clientHeight / 2);
      return element.scrollTop === before;
    });
    if (atEnd) return seen.size;
  }
}
