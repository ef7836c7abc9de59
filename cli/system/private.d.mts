/**
 * Makes a folder for its owner alone where it is not there yet, whatever the umask; one that is there is closed to others.
 *
 * @param others what of its mode others lose; all by default
 * @returns whether it was made
 * @throws an error of the file system, EPERM where it is somebody else's and others may write to it
 */
export function makePrivate(path: string, others?: number): boolean;
