import fc from 'fast-check';

/** Any bytes at all, the ones that mean something to nginx more often. */
export const anyBytes = fc
  .array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.constantFrom(...[...' \t\r\n;{}"\'\\#$)ab'].map((char) => char.charCodeAt(0))),
      },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }) },
    ),
    { maxLength: 200 },
  )
  .map((bytes) => Uint8Array.from(bytes));

/** A configuration like those that people have, as a binary string. */
export const realistic = `# main
user www-data;
worker_processes auto;
pid /run/nginx.pid;
events { worker_connections 768; }
http {
    include /etc/nginx/mime.types;
    map $http_upgrade $connection { default upgrade; '' close; include maps/*.map; }
    geo $limited { default 0; 10.0.0.0/8 1; }
    log_format main '$remote_addr - "$request" ' # the client
                    "\${status} \\"$http_referer\\"";
    types { text/html html htm; fastcgi_pass unix:/run/php/blue.sock; }
    upstream shop {
        server unix:/var/run/php/blue.sock max_fails=0; # blue
        server "unix:/run/php/green.sock" max_fails=0 backup;
    }
    server {
        listen 80; server_name shop.example "a b" ~^(?<n>.+)\\.x$;
        if ($request_method = "PUT") { return 405; }
        location ~ \\.php$ {\r
            fastcgi_pass unix:/run/php/\u00e4.sock;\r
            fastcgi_pass   shop;
        }
        content_by_lua_block { local x = "}" -- }
        }
        location / { return 200 "/a/\${uri} b"; }
    }
}
`;

/** Realistic text with a few bytes lost, doubled or put in. */
export const configText = fc
  .array(
    fc.record({
      at: fc.nat(realistic.length),
      drop: fc.nat(3),
      put: fc.constantFrom(
        '',
        '',
        '"',
        "'",
        ';',
        '{',
        '}',
        '\\',
        '#',
        '\n',
        '$',
        ' ',
        '\r',
        '\u00ff',
        '\0',
        'a',
      ),
    }),
    { maxLength: 6 },
  )
  .map((changes) =>
    changes.reduce((text, { at, drop, put }) => text.slice(0, at) + put + text.slice(at + drop), realistic),
  );
