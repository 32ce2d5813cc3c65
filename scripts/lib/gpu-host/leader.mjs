// Leads the process group of a program that was not written by us: `node leader.mjs <patience ms> <command> [argument…]`.
// When its stdin closes, which the system does when the supervisor dies in any way, SIGKILL included, the program is asked to
// end, and then its whole group is ended, with what the program has started.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

function lead([patienceMs, command, ...args]) {
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  let orphaned = false;
  const endGroup = () => process.kill(-process.pid, 'SIGKILL');
  const onGone = () => {
    if (orphaned) return;
    orphaned = true;
    child.kill('SIGTERM');
    setTimeout(endGroup, Number(patienceMs));
  };
  process.stdin.on('end', onGone).on('error', onGone).resume();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => child.kill(name));
  child.on('error', (error) => {
    console.error(`cannot run ${command}: ${error.message}`);
    process.exit(127);
  });
  child.on('exit', (code, name) => {
    if (orphaned) endGroup();
    process.exit(code ?? 128 + constants.signals[name]);
  });
}

lead(process.argv.slice(2));
