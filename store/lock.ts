// Locks that a dead process cannot keep: a socket address that the kernel gives to one holder and takes back when it ends.
import { createServer, type Server } from 'node:net'
import { type ErrorCode, PsyblobError } from '../core/mod.ts'
import { blake3 } from './blake3.ts'

export type LockOptions = {
  /** What is locked, for people, e.g. `store /var/psyblob`. */
  readonly what: string
  /** The refusal when somebody else holds it. Default `locked`. */
  readonly code?: ErrorCode
  readonly hint?: string
}

export interface Lock {
  release(): Promise<void>
}

/** Linux has abstract sockets: no file, gone with the process. Elsewhere a socket file in the temporary folder serves publishers. */
function address(name: string): string {
  const id = Buffer.from(blake3().digest(Buffer.from(name))).toString('hex', 0, 16)
  return process.platform === 'linux' ? `\0psyblob-${id}` : `${process.env['TMPDIR'] ?? '/tmp'}/psyblob-${id}.sock`
}

/** Takes the lock called `name` or throws at once; `name` is a canonical path or another string that means the same thing to every process. */
export async function lock(name: string, options: LockOptions): Promise<Lock> {
  const server: Server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EADDRINUSE') return reject(cause)
      reject(
        new PsyblobError(options.code ?? 'locked', `${options.what} is in use by another psyblob`, {
          cause,
          hint: options.hint ?? 'wait until it has finished, then run the same command again',
        }),
      )
    })
    server.listen({ path: address(name), exclusive: true }, resolve)
  })
  server.unref()
  return { release: () => new Promise((resolve) => server.close(() => resolve())) }
}
