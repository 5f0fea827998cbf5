// A world with keepers: keys of several people, a release by one key, the draft of a first root, and what a ceremony consists of.
import { readFileSync } from 'node:fs'
import { type Outcome, World } from './world.ts'

export const node = '--key os.pub --remote repo --slot-a a --slot-b b --esp esp'

const keys = (names: readonly string[]) => names.map((name) => `--key ${name}.key`).join(' ')

export class Ceremony extends World {
  #releases = 0

  /** One release by os, synced, and root.json: two of anna, ben and cleo, releases by os, pointers by ci. Nobody has signed it. */
  async begin(): Promise<this> {
    for (const name of ['os', 'ci', 'anna', 'ben', 'cleo', 'new']) await this.must(`key new ${name} --no-password`)
    await this.must('init repo --key os.key --repo org.example.os')
    await this.release('os')
    await this.must(`sync os ${node}`)
    await this.must(
      'root init root.json --repo org.example.os --root anna.pub --root ben.pub --root cleo.pub --release os.pub --pointer ci.pub',
    )
    return this
  }

  sync(more = ''): Promise<Outcome> {
    return this.psyblob(`sync os ${node}${more}`)
  }

  async sign(...names: readonly string[]): Promise<void> {
    for (const name of names) await this.must(`root sign root.json --key ${name}.key`)
  }

  publishRoot(): Promise<Outcome> {
    return this.must('root publish root.json --remote repo')
  }

  /** Signs the pointer again. */
  refresh(...names: readonly string[]): Promise<Outcome> {
    return this.must(`publish --refresh --remote repo ${keys(names)}`)
  }

  release(...names: readonly string[]): Promise<Outcome> {
    this.write('build/kernel', `kernel ${++this.#releases}`)
    return this.psyblob(`publish os build --remote repo ${keys(names)}`)
  }

  /** What the node trusts. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  trusted(): any {
    return JSON.parse(readFileSync(this.path('store/state.json'), 'utf8'))
  }

  /** The next root, changed by these commands and signed by these. */
  async next(changes: readonly string[], signers: readonly string[]): Promise<void> {
    this.remove('root.json')
    await this.must('root prepare root.json --remote repo')
    for (const change of changes) await this.must(`root ${change}`)
    await this.sign(...signers)
    await this.publishRoot()
  }

  /** A node and a repository under root 1. */
  async underRoot(): Promise<void> {
    await this.sign('anna', 'ben', 'os')
    await this.publishRoot()
    await this.refresh('ci', 'os')
    await this.must(`sync os ${node}`)
  }
}
