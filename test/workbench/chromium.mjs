import { chromium } from "playwright-core";
import { findChromium } from "../../scripts/setup/prerequisites.mjs";

/** A headless Chromium that talks to nobody but the page it is sent to. */
export async function launchChromium() {
  const executablePath = findChromium();
  if (executablePath === null) throw new Error("Chromium is not installed; run npm test, which installs it.");
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** What a laptop's window shows. */
export const viewport = { width: 1440, height: 900 };
