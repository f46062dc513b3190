import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Frame, Locator, Page } from "playwright-core";
import {
  installExtension,
  prepareProfile,
  serveWorkbench,
  workbenchAddress,
} from "../../../scripts/code-server/serve.mjs";
import { vsix } from "../../../scripts/package.mjs";
import { dist } from "../../../scripts/paths.mjs";
import { launchChromium, viewport } from "../chromium.mjs";
import { prepareFolder } from "../folder.mjs";

/** As the theme picker calls them. */
const themes = {
  light: "Light Modern",
  dark: "Dark Modern",
  hc: "Dark High Contrast",
} as const;

export type Theme = keyof typeof themes;

/** The class VS Code puts on the workbench for the kind of the theme that is on. */
const themeClasses: Record<Theme, string> = { light: "vs", dark: "vs-dark", hc: "hc-black" };

const screenshots = join(dist, "screenshots");
const failures = join(dist, "test-failures");

/**
 * A VS Code window with the packaged extension, used like a person does: by keyboard, mouse and what is on the screen.
 * Everything waits for what it needs to see; nothing waits for time to pass.
 */
export class Workbench {
  /** The folder that is open: a copy, so that a test can spoil it. */
  readonly folder: string;
  readonly #temporary: string;
  readonly #server: Awaited<ReturnType<typeof serveWorkbench>>;
  readonly #browser: Browser;
  readonly #console: string[] = [];
  #page: Page;

  private constructor(
    temporary: string,
    server: Awaited<ReturnType<typeof serveWorkbench>>,
    browser: Browser,
    page: Page,
  ) {
    this.#temporary = temporary;
    this.folder = join(temporary, "workspace");
    this.#server = server;
    this.#browser = browser;
    this.#page = page;
  }

  /** Opens a window on a fresh copy of the example and the broken files beside it. */
  static async open(options: { settings?: object } = {}): Promise<Workbench> {
    const temporary = mkdtempSync(join(tmpdir(), "ziptie-outside-"));
    const profile = {
      userDataDir: join(temporary, "user-data"),
      extensionsDir: join(temporary, "extensions"),
    };
    prepareFolder(join(temporary, "workspace"));
    prepareProfile(profile, options.settings);
    await installExtension(profile, vsix);
    const server = await serveWorkbench(profile);
    const browser = await launchChromium();
    const page = await browser.newPage({
      viewport,
      colorScheme: "dark",
      permissions: ["clipboard-read", "clipboard-write"],
    });
    const workbench = new Workbench(temporary, server, browser, page);
    page.on("console", (message) => workbench.#console.push(`${message.type()}: ${message.text()}`));
    page.on("crash", () => workbench.#console.push("the page crashed"));
    await page.goto(workbenchAddress(server, workbench.folder));
    await workbench.#ready();
    return workbench;
  }

  /** For what this class has no name for. */
  get page(): Page {
    return this.#page;
  }

  async #ready(): Promise<void> {
    await this.#page.locator(".monaco-workbench .part.statusbar").waitFor({ timeout: 60_000 });
  }

  /** The engine that trains a run of this folder, or undefined when none does. */
  engine(run: string): number | undefined {
    const lock = join(this.folder, "runs", run, "run.lock");
    return existsSync(lock) ? JSON.parse(readFileSync(lock, "utf8")).pid : undefined;
  }

  /** Ends the window and the server, and the runs that a failed test left going: they outlive a window by design. */
  async close(): Promise<void> {
    await this.#browser.close();
    await this.#server.stop();
    const runs = join(this.folder, "runs");
    for (const run of existsSync(runs) ? readdirSync(runs) : []) {
      const pid = this.engine(run);
      if (pid !== undefined) process.kill(pid, "SIGKILL");
    }
    rmSync(this.#temporary, { recursive: true, force: true });
  }

  /** Reloads the window, as "Developer: Reload Window" does. */
  async reload(): Promise<void> {
    await this.#page.reload();
    await this.#ready();
  }

  async setTheme(theme: Theme): Promise<void> {
    const inTheme = this.#page.locator(`.monaco-workbench.${themeClasses[theme]}`);
    if ((await inTheme.count()) > 0) return;
    await this.command("Preferences: Color Theme");
    await this.quickInput.locator("input").fill(themes[theme]);
    await this.entry(themes[theme]).click();
    await inTheme.waitFor();
  }

  /** The quick input, as the palette and quick pick share it. */
  get quickInput(): Locator {
    return this.#page.locator(".quick-input-widget");
  }

  /** The entry of the quick input with this label. */
  entry(label: string | RegExp): Locator {
    return this.quickInput
      .locator(".monaco-list-row")
      .filter({ has: this.#page.locator(".label-name", { hasText: label }) })
      .first();
  }

  /** Opens the palette on a command. The palette lists what is known when it opens, so it is opened again until an extension has spoken. */
  async findCommand(title: string, timeout = 60_000): Promise<Locator> {
    const entry = this.entry(new RegExp(`^${escapePattern(title)}$`));
    const deadline = Date.now() + timeout;
    for (;;) {
      await this.#page.keyboard.press("F1");
      const input = this.quickInput.locator("input");
      await input.waitFor();
      await input.fill(`>${title}`);
      try {
        await entry.waitFor({ timeout: 3_000 });
        return entry;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await this.#page.keyboard.press("Escape");
      }
    }
  }

  /** Runs a command from the palette by its title. */
  async command(title: string): Promise<void> {
    const entry = await this.findCommand(title);
    await entry.click();
  }

  /** Brings a file of the folder to the front by its name: its tab if it has one, else through the list of files. */
  async openFile(name: string): Promise<void> {
    const exactly = new RegExp(`^${escapePattern(name)}$`);
    const tab = this.#page.locator(".tab .label-name", { hasText: exactly });
    if ((await tab.count()) > 0) {
      await tab.click();
    } else {
      await this.#page.keyboard.press("Control+P");
      const input = this.quickInput.locator("input");
      await input.waitFor();
      await input.fill(name);
      await this.entry(exactly).click();
    }
    await this.#page.locator(".tab.active .label-name", { hasText: exactly }).waitFor();
  }

  /** Puts the cursor on a line and column of the active editor, both counted from 1. */
  async goTo(line: number, column = 1): Promise<void> {
    await this.#page.keyboard.press("Control+G");
    const input = this.quickInput.locator("input");
    await input.waitFor();
    await input.fill(`:${line}:${column}`);
    await this.entry(`Go to line ${line}`).click();
    await this.quickInput.waitFor({ state: "hidden" });
  }

  /** The active text editor. */
  get editor(): Locator {
    return this.#page.locator(".editor-group-container.active .monaco-editor").first();
  }

  /** A line of the active editor that is on the screen and contains this text. */
  line(text: string): Locator {
    // Monaco draws spaces as no-break spaces.
    return this.editor.locator(".view-line", {
      hasText: new RegExp(escapePattern(text).replaceAll(" ", "\\s")),
    });
  }

  notification(text: string | RegExp): Locator {
    return this.#page.locator(".notification-toast", { hasText: text });
  }

  get statusBar(): Locator {
    return this.#page.locator(".part.statusbar");
  }

  /** The document of the webview panel in which `selector` is found. */
  async webview(selector: string, timeout = 30_000): Promise<Frame> {
    const deadline = Date.now() + timeout;
    for (;;) {
      for (const frame of this.#page.frames()) {
        if (frame.isDetached() || !(await frame.url()).includes("fake.html")) continue;
        const found = await frame
          .locator(selector)
          .count()
          .catch(() => 0);
        if (found > 0) return frame;
      }
      if (Date.now() > deadline) throw new Error(`No webview shows ${selector} after ${timeout / 1000} s.`);
      // A frame that is being loaded announces itself to the page, which we let run on.
      await this.#page.evaluate(() => new Promise((next) => requestAnimationFrame(next)));
    }
  }

  /** Takes a picture of the window into dist/screenshots. */
  async screenshot(name: string): Promise<string> {
    mkdirSync(screenshots, { recursive: true });
    const path = join(screenshots, `${name}.png`);
    await this.#page.screenshot({ path });
    return path;
  }

  /** Takes the picture in each theme, and leaves the dark one on. */
  async screenshots(name: string): Promise<void> {
    for (const theme of ["light", "hc", "dark"] as const) {
      await this.setTheme(theme);
      await this.screenshot(`${name}-${theme}`);
    }
  }

  /** What a person who looks into a failure wants: the picture and the page's console. */
  async keepEvidence(name: string): Promise<void> {
    mkdirSync(failures, { recursive: true });
    const file = join(failures, name.replaceAll(/[^\w]+/g, "-"));
    writeFileSync(`${file}.log`, `${this.#console.join("\n")}\n`);
    await this.#page.screenshot({ path: `${file}.png` }).catch(() => {});
  }
}

function escapePattern(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
