import { inflateRawSync } from 'node:zlib';

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
/** An end record without a comment; with one it lies further from the end. */
const END_BYTES = 22;
const LONGEST_COMMENT = 65_535;
const [STORED, DEFLATED] = [0, 8];

/**
 * Takes one file out of a zip archive that is in memory. Throws where there is no such file and for what it does not know:
 * encryption, other methods than deflate, archives above 4 GB.
 */
export function unzipOne(archive, name) {
  for (const entry of entries(archive)) {
    if (entry.name === name) return content(archive, entry);
  }
  throw new Error(`the archive has no ${name}`);
}

function* entries(archive) {
  const end = endRecord(archive);
  const count = archive.readUInt16LE(end + 10);
  let at = archive.readUInt32LE(end + 16);
  for (let index = 0; index < count; index += 1) {
    if (at + 46 > archive.length || archive.readUInt32LE(at) !== CENTRAL) {
      throw new Error('the archive is damaged: its list of files ends too soon');
    }
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) =>
      archive.readUInt16LE(at + field),
    );
    yield {
      name: archive.toString('utf8', at + 46, at + 46 + nameBytes),
      encrypted: (archive.readUInt16LE(at + 8) & 1) === 1,
      method: archive.readUInt16LE(at + 10),
      packedBytes: archive.readUInt32LE(at + 20),
      bytes: archive.readUInt32LE(at + 24),
      offset: archive.readUInt32LE(at + 42),
    };
    at += 46 + nameBytes + extraBytes + commentBytes;
  }
}

function endRecord(archive) {
  const first = Math.max(0, archive.length - END_BYTES - LONGEST_COMMENT);
  for (let at = archive.length - END_BYTES; at >= first; at -= 1) {
    if (archive.readUInt32LE(at) === END) return at;
  }
  throw new Error('this is no zip archive');
}

function content(archive, { name, encrypted, method, packedBytes, bytes, offset }) {
  if (encrypted || (method !== STORED && method !== DEFLATED)) {
    throw new Error(`${name} is packed in a way that is not known here`);
  }
  if (archive.readUInt32LE(offset) !== LOCAL) throw new Error(`the archive is damaged at ${name}`);
  // The local header repeats the name, with extra fields of its own.
  const start = offset + 30 + archive.readUInt16LE(offset + 26) + archive.readUInt16LE(offset + 28);
  const packed = archive.subarray(start, start + packedBytes);
  const unpacked = method === STORED ? packed : inflateRawSync(packed, { maxOutputLength: bytes });
  if (unpacked.length !== bytes) throw new Error(`the archive is damaged: ${name} is too short`);
  return unpacked;
}
