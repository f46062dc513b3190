import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { findProgram, Problem, run, step } from "../processes.mjs";

const minimumNode = 20;

/** What is looked for, and the Debian packages that bring it. `header` is asked of the C++ compiler, so any distribution's place will do. */
const prerequisites = {
  build: [
    { what: "a C++ compiler (g++ 12 or newer)", program: ["g++"], packages: ["g++"] },
    { what: "cmake 3.25 or newer", program: ["cmake"], packages: ["cmake"] },
    { what: "ninja", program: ["ninja"], packages: ["ninja-build"] },
    { what: "git", program: ["git"], packages: ["git"] },
    { what: "nlohmann-json", header: "nlohmann/json.hpp", packages: ["nlohmann-json3-dev"] },
    { what: "CLI11", header: "CLI/CLI.hpp", packages: ["libcli11-dev"] },
    { what: "fmt", header: "fmt/core.h", packages: ["libfmt-dev"] },
    { what: "doctest", header: "doctest/doctest.h", packages: ["doctest-dev"] },
    { what: "oneDNN", header: "oneapi/dnnl/dnnl.hpp", packages: ["libdnnl-dev"] },
  ],
  codeServer: [
    { what: "python3 (node-gyp needs it)", program: ["python3"], packages: ["python3"] },
    { what: "make", program: ["make"], packages: ["make"] },
    { what: "pkg-config", program: ["pkg-config"], packages: ["pkg-config"] },
    { what: "ripgrep", program: ["rg"], packages: ["ripgrep"] },
    { what: "Kerberos headers", header: "gssapi/gssapi.h", packages: ["libkrb5-dev"] },
    { what: "X11 headers", header: "X11/Xlib.h", packages: ["libx11-dev"] },
    { what: "xkbfile headers", header: "X11/extensions/XKBfile.h", packages: ["libxkbfile-dev"] },
    { what: "libsecret", pkgConfig: "libsecret-1", packages: ["libsecret-1-dev"] },
  ],
  tests: [
    {
      what: "Chromium",
      program: ["chromium", "chromium-browser", "google-chrome"],
      packages: ["chromium"],
    },
    {
      what: "a font with Chinese characters",
      font: ":lang=zh-tw",
      packages: ["fontconfig", "fonts-noto-cjk"],
    },
    { what: "unzip", program: ["unzip"], packages: ["unzip"] },
    { what: "clang-format", program: ["clang-format"], packages: ["clang-format"] },
    { what: "python3 with venv", pythonModule: "ensurepip", packages: ["python3", "python3-venv"] },
  ],
};

/** The path of a Chromium, or null. */
export const findChromium = () => findProgram("chromium", "chromium-browser", "google-chrome");

function compilerFinds(header) {
  const found = spawnSync("g++", ["-E", "-xc++", "-", "-o", "/dev/null"], {
    input: `#if !__has_include(<${header}>)\n#error missing\n#endif\n`,
  });
  return found.status === 0;
}

function isThere({ program, header, pkgConfig, font, pythonModule }) {
  if (program) return findProgram(...program) !== null;
  if (header) return compilerFinds(header);
  if (pkgConfig) return spawnSync("pkg-config", ["--exists", pkgConfig]).status === 0;
  if (font) return (spawnSync("fc-list", [font], { encoding: "utf8" }).stdout ?? "") !== "";
  return spawnSync("python3", ["-c", `import venv, ${pythonModule}`]).status === 0;
}

function checkNode() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < minimumNode) {
    throw new Problem(
      `Node ${minimumNode} or newer is needed; this is ${process.version} (${process.execPath}).`,
    );
  }
}

/**
 * Finds out what is missing for these groups (`build`, `codeServer`, `tests`). As root on Debian the packages are installed; otherwise
 * the command to install them is part of the message.
 * @throws {Problem}
 */
export async function ensurePrerequisites(...groups) {
  checkNode();
  const wanted = groups.flatMap((group) => prerequisites[group]);
  const missing = () => wanted.filter((each) => !isThere(each));
  const before = missing();
  if (before.length === 0) return;

  const packages = [...new Set(before.flatMap((each) => each.packages))];
  const list = before.map((each) => `  - ${each.what}`).join("\n");
  const debian = existsSync("/etc/debian_version") && findProgram("apt-get") !== null;
  if (!debian || process.getuid?.() !== 0) {
    const command = `sudo apt-get install --no-install-recommends ${packages.join(" ")}`;
    throw new Problem(
      `Missing on this machine:\n${list}\n\nOn Debian and Ubuntu:\n  ${command}\n` +
        (debian ? "" : "Elsewhere, install the packages of the same names from your distribution.\n"),
    );
  }

  await step(`install Debian packages: ${packages.join(" ")}`, async () => {
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    await run("apt-get", ["update", "-qq"], { env });
    await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages], { env });
  });
  const after = missing();
  if (after.length > 0) {
    throw new Problem(
      `Still missing after installing the packages:\n${after.map((each) => `  - ${each.what}`).join("\n")}`,
    );
  }
}

/** Python's version, as part of what a virtual environment depends on. */
export function pythonVersion() {
  return execFileSync("python3", ["--version"], { encoding: "utf8" }).trim();
}
