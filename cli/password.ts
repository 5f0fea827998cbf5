// Where the password of a secret key comes from: a file, the environment, or a terminal that does not show it.
import { readFile } from 'node:fs/promises'
import { openSecretKey, PsyblobError, parseSecretKeyFile, type SecretKey, visible } from '../core/mod.ts'
import { signatureEngine } from '../store/mod.ts'
import type { CommandContext } from './command.ts'

export type PasswordSource = {
  readonly context: Pick<CommandContext, 'stdin' | 'stderr' | 'env' | 'signal'>
  readonly file: string | undefined
}

/** The password, or undefined when nobody can be asked. */
async function password(question: string, { context, file }: PasswordSource): Promise<Uint8Array | undefined> {
  if (file !== undefined) {
    const text = await readFile(file, 'utf8').catch((cause: unknown) => {
      throw new PsyblobError('not-found', `no password file ${visible(file)}`, {
        cause,
        hint: 'name a file with the password in its first line',
      })
    })
    return Buffer.from(text.split('\n', 1)[0] ?? '')
  }
  const set = context.env['PSYBLOB_PASSWORD']
  if (set !== undefined) return Buffer.from(set)
  return context.stdin.isTTY === true ? Buffer.from(await ask(question, context)) : undefined
}

function ask(question: string, { stdin, stderr, signal }: PasswordSource['context']): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed = ''
    const end = (done: () => void) => {
      stdin.off('data', onData)
      signal.removeEventListener('abort', onAbort)
      stdin.setRawMode(false)
      stdin.pause()
      stderr.write('\n')
      done()
    }
    const onData = (data: Buffer) => {
      for (const character of data.toString('utf8')) {
        if (character === '\r' || character === '\n') return end(() => resolve(typed))
        if (character === '\u0003' || character === '\u0004')
          return end(() => reject(new PsyblobError('interrupted', 'no password was typed', { hint: 'nothing was changed' })))
        typed = character === '\u007f' || character === '\b' ? typed.slice(0, -1) : typed + character
      }
    }
    const onAbort = () => end(() => reject(signal.reason))
    signal.addEventListener('abort', onAbort)
    stderr.write(question)
    stdin.setRawMode(true)
    stdin.resume()
    stdin.on('data', onData)
  })
}

/** Reads and opens a secret key; asks for its password when it has one. */
export async function readSecretKey(path: string, source: PasswordSource): Promise<SecretKey> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT')
      throw new PsyblobError('not-found', `no secret key ${visible(path)}`, {
        cause,
        hint: 'psyblob key new OUT makes OUT.key and OUT.pub',
      })
    throw new PsyblobError('usage', `cannot read the secret key ${visible(path)}: ${cause.code ?? cause.message}`, {
      cause,
      hint: 'check the path and who may read it',
    })
  })
  const what = visible(path)
  const file = parseSecretKeyFile(text, what)
  return openSecretKey(file, {
    password: file.encrypted ? await password(`Password for ${what}: `, source) : undefined,
    engine: signatureEngine,
    what,
  })
}

/** A password for a new key, typed twice. Throws `usage` when nobody can be asked. */
export async function newPassword(source: PasswordSource): Promise<Uint8Array> {
  const first = await password('Password for the new key: ', source)
  if (first === undefined)
    throw new PsyblobError('usage', 'no password for the new key', {
      hint: 'run it on a terminal, set PSYBLOB_PASSWORD or --password-file, or say --no-password',
    })
  if (first.length === 0) throw new PsyblobError('usage', 'the password is empty', { hint: 'say --no-password for a key without one' })
  const asked = source.file === undefined && source.context.env['PSYBLOB_PASSWORD'] === undefined
  const second = asked ? await password('The same again: ', source) : first
  if (Buffer.compare(first, second ?? new Uint8Array()) !== 0)
    throw new PsyblobError('usage', 'the two passwords differ', { hint: 'run it again; nothing was written' })
  return first
}
