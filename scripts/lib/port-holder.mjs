import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const LISTENING = '0A';

/** The process of ours that listens on a TCP port, as far as the system shows it: on Linux alone, and of one's own user. */
export function portHolder(port) {
  const inodes = listeningInodes(port);
  if (inodes.size === 0) return undefined;
  const pid = numbersIn('/proc').find((candidate) => holdsOne(candidate, inodes));
  return pid && describe(pid);
}

/** What a process is: its id, that of its parent, its command line and its folder. Undefined when it is gone. */
export function describe(pid) {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
    // `pid (name) state ppid …`; the name may hold spaces and brackets.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop();
    const parent = Number(stat.split(' ')[1]);
    return { pid: Number(pid), parent, command, folder: readlinkSync(`/proc/${pid}/cwd`) };
  } catch {
    return undefined;
  }
}

function listeningInodes(port) {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const inodes = new Set();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of linesOf(table).slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(wanted) && fields[3] === LISTENING)
        inodes.add(`socket:[${fields[9]}]`);
    }
  }
  return inodes;
}

function linesOf(path) {
  try {
    return readFileSync(path, 'utf8').trim().split('\n');
  } catch {
    return [];
  }
}

function numbersIn(folder) {
  try {
    return readdirSync(folder).filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function holdsOne(pid, inodes) {
  const folder = `/proc/${pid}/fd`;
  return numbersIn(folder).some((fd) => {
    try {
      return inodes.has(readlinkSync(`${folder}/${fd}`));
    } catch {
      return false;
    }
  });
}
