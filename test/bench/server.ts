// nginx over a folder; its access log says how many requests came and how many bytes of bodies went out.
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Link } from './link.ts'
import { start } from './run.ts'

export type Traffic = { readonly bytes: number; readonly requests: number }

export type Server = {
  readonly url: string
  /** What went out since the last time. */
  traffic(): Promise<Traffic>
  close(): Promise<void>
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().on('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

/** Serves `root` on loopback, or on the far side of the link. */
export async function serve(root: string, scratch: string, link?: Link): Promise<Server> {
  const folder = join(scratch, 'nginx')
  mkdirSync(folder, { recursive: true })
  const log = join(folder, 'bytes')
  writeFileSync(log, '')
  const port = link === undefined ? await freePort() : 8080
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`)
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; user root; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 512; }
http {
  log_format bytes '$body_bytes_sent'; access_log ${log} bytes; default_type application/octet-stream;
  ${temporary.join(' ')}
  server { listen ${link?.address ?? '127.0.0.1'}:${port}; root ${root}; }
}
`,
  )
  const stop = await start([...(link?.far ?? []), 'nginx', '-e', `${folder}/error.log`, '-c', `${folder}/nginx.conf`])
  const url = `http://${link?.address ?? '127.0.0.1'}:${port}`
  // written once it listens
  for (let tries = 0; !existsSync(join(folder, 'pid')); tries++) {
    if (tries === 100) throw new Error(`nginx did not start in ten seconds: ${readFileSync(join(folder, 'error.log'), 'utf8')}`)
    await sleep(100)
  }
  return {
    url,
    close: stop,
    async traffic() {
      // a request is logged when its connection is done with it, a moment after the client has gone
      await sleep(200)
      const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1)
      truncateSync(log)
      return { requests: lines.length, bytes: lines.reduce((sum, line) => sum + Number(line), 0) }
    },
  }
}
