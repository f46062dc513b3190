import { hasCode } from "../training/refused";

/** Why a file that was named cannot be read, in a sentence for a person. */
export function unreadable(path: string, error: unknown): string {
  if (hasCode(error, "ENOENT", "ENOTDIR")) return `${path} is not there.`;
  if (hasCode(error, "EISDIR")) return `${path} is a folder; a file is needed here.`;
  if (hasCode(error, "EACCES", "EPERM")) return `${path} may not be read.`;
  if (hasCode(error, "ELOOP")) return `${path} is a symbolic link that leads to itself.`;
  return `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}
