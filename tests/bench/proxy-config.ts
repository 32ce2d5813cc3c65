/** What both proxies need to know. All paths they write to lie in `folder`. */
export interface ProxyPlan {
  readonly port: number;
  /** `host:port` behind the proxy. */
  readonly upstream: string;
  readonly folder: string;
  readonly sessions: number;
}

/** Open files besides the two sockets of each session. */
const SPARE = 256;

/** One process that is worker and master at once, so that its pid is the one to measure and to end. */
export function nginxConfig({ port, upstream, folder, sessions }: ProxyPlan): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile ${2 * sessions + SPARE};
events { worker_connections ${2 * sessions + SPARE}; }
http {
  access_log off;
${temporary.map((name) => `  ${name}_temp_path ${folder}/${name};`).join('\n')}
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://${upstream};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_read_timeout 600s;
    }
  }
}
`;
}

export function haproxyConfig({ port, upstream, sessions }: ProxyPlan): string {
  return `
global
  nbthread 1
  maxconn ${sessions + SPARE}
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout tunnel 600s
listen bench
  bind 127.0.0.1:${port}
  server upstream ${upstream}
`;
}
