/** The part of tar-fs (which comes with dockerode, without types) that is used here. */
declare module "tar-fs" {
  interface Header {
    name: string;
    uid?: number;
    gid?: number;
  }
  interface PackOptions {
    ignore?(path: string): boolean;
    map?(header: Header): Header;
    umask?: number;
    strict?: boolean;
  }
  const tarFs: { pack(folder: string, options: PackOptions): NodeJS.ReadableStream };
  export default tarFs;
}
