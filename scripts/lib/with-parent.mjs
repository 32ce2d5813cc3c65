// Runs a command that ends when this process's stdin closes, which the system does when the parent dies in
// any way, SIGKILL included: `node with-parent.mjs <command> [argument…]`. For programs not written by us.
import { spawn } from 'node:child_process';

const PATIENCE_MS = 5_000;

function runWithParent([command, ...args]) {
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const stop = () => {
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS).unref();
  };
  process.stdin.on('end', stop).on('error', stop).resume();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  child.on('error', (error) => {
    console.error(`cannot run ${command}: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code) => process.exit(code ?? 1));
}

runWithParent(process.argv.slice(2));
