/**
 * Where the single executable may write out its native part: told by `main.ts` before the first hash is computed.
 * @module
 */

/** Begins the name of the folder that is made for it and removed once it is loaded; an end in between leaves it. */
export const nativeFolderPrefix = '.native-'

let directories: readonly string[] = []

/** Sets the folders, best first. */
export function setNativeDirectories(folders: readonly string[]): void {
  directories = folders
}

/** The folders, best first. */
export function nativeDirectories(): readonly string[] {
  return directories
}
