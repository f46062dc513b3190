import { hasCode, Refused } from "./refused";

/**
 * What the disk says when a run cannot be written, in words that help; any other error as it is.
 * @param folder where runs are made, the config's `output_dir`
 */
export function unwritable(error: unknown, folder: string): unknown {
  if (hasCode(error, "ENOSPC", "EDQUOT")) {
    return new Refused(
      `The disk is full: the run does not fit below ${folder}. Free some space or set output_dir.`,
    );
  }
  if (hasCode(error, "EEXIST", "ENOTDIR")) {
    return new Refused(`output_dir is ${folder}, but that, or a part of it, is a file. Name a folder.`);
  }
  if (hasCode(error, "EACCES", "EPERM", "EROFS")) {
    return new Refused(`The run cannot be written below ${folder}: ${(error as Error).message}`);
  }
  return error;
}
