/** The part of tar-fs (which comes with dockerode, without types) that is used here. */
declare module "tar-fs" {
  interface Header {
    name: string;
    mode?: number;
    uid?: number;
    gid?: number;
  }
  interface Pack extends NodeJS.ReadableStream {
    entry(header: Header, content: Buffer): void;
    finalize(): void;
  }
  interface PackOptions {
    entries?: string[];
    ignore?(path: string): boolean;
    map?(header: Header): Header;
    umask?: number;
    strict?: boolean;
    finalize?: boolean;
    finish?(pack: Pack): void;
  }
  const tarFs: { pack(folder: string, options: PackOptions): Pack };
  export default tarFs;
}
