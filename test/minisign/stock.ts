// The real minisign: what it says of a signature file, and what it signs.
import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

export class Stock {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
    const { error } = spawnSync('minisign', ['-v'])
    if (error !== undefined) throw new Error('these tests need the program minisign on PATH: apt-get install minisign', { cause: error })
  }

  /** Makes NAME.key and NAME.pub; without a password as with -W. */
  makeKey(name: string, password = ''): void {
    const words = ['-G', ...(password === '' ? ['-W'] : []), '-p', `${name}.pub`, '-s', `${name}.key`]
    execFileSync('minisign', words, { cwd: this.#dir, input: password === '' ? '' : `${password}\n${password}\n`, stdio: 'pipe' })
  }

  /** Writes FILE.minisig, or what `more` says. */
  sign(secretKey: string, file: string, password = '', more: readonly string[] = []): void {
    execFileSync('minisign', ['-S', '-s', secretKey, '-m', file, ...more], {
      cwd: this.#dir,
      input: password === '' ? '' : `${password}\n`,
      stdio: 'pipe',
    })
  }

  /** The trusted comment when `minisign -V -H` accepts what lies beside the file; undefined when it does not. */
  verify(publicKey: string, file: string, signature = `${file}.minisig`): string | undefined {
    const { status, stdout } = spawnSync('minisign', ['-V', '-H', '-Q', '-P', publicKey, '-m', file, '-x', signature], { cwd: this.#dir })
    return status === 0 ? stdout.toString('latin1').replace(/\n$/, '') : undefined
  }

  /** As `verify`, of a signature file that consists of these bytes. */
  judge(publicKey: string, file: string, signature: Uint8Array): string | undefined {
    writeFileSync(join(this.#dir, 'judged.minisig'), signature)
    return this.verify(publicKey, file, 'judged.minisig')
  }
}
