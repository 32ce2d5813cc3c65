export function unzipOne(archive: Buffer, name: string): Buffer;
