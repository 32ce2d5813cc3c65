import { runAdmin } from './admin-run.ts';

process.exitCode = await runAdmin(process.argv.slice(2), {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  env: process.env,
});
