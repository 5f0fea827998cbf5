// A small system to publish as a tree, and a root that it is applied to.
import { chmodSync, chownSync, lstatSync, lutimesSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { noise, type Outcome, World } from './world.ts'

export const isRoot = process.getuid?.() === 0

export class TreeWorld extends World {
  /** A system in `src`, published as release 1 of `base`; `root` has a composition and nothing else. */
  async withSystem(extra: Readonly<Record<string, unknown>> = {}): Promise<this> {
    this.write('src/usr/bin/tool', '#!/bin/sh\necho one\n')
    chmodSync(this.path('src/usr/bin/tool'), 0o755)
    this.write('src/usr/lib/libx.so.1', noise('library', 40_000))
    symlinkSync('libx.so.1', this.path('src/usr/lib/libx.so'))
    symlinkSync('usr/bin', this.path('src/bin'))
    this.write('src/usr/share/data/large', noise('large', 2_500_000))
    this.write('src/usr/share/data/twin', noise('library', 40_000))
    this.write('src/etc/conf', 'as published\n')
    this.write('src/etc/secret', 'hush\n')
    chmodSync(this.path('src/etc/secret'), 0o600)
    mkdirSync(this.path('src/var/empty'), { recursive: true })
    mkdirSync(this.path('src/tmp'))
    chmodSync(this.path('src/tmp'), 0o1777)
    if (isRoot) chownSync(this.path('src/etc/secret'), 33, 42)
    await this.must('key new os --no-password')
    await this.must('init repo --key os.key --repo org.example.test')
    await this.publish()
    this.compose({ name: 'base', ...extra })
    return this
  }

  publish(words = ''): Promise<Outcome> {
    return this.must(`publish base src --tree --remote repo --key os.key ${words}`)
  }

  /** Writes the composition of `root`: one line a product. */
  compose(...products: readonly Readonly<Record<string, unknown>>[]): void {
    const key = this.read('os.pub').toString().split('\n')[1]
    const line = (product: object) => JSON.stringify({ key, uris: [this.path('repo')], target: { kind: 'tree', root: '/' }, ...product })
    this.write('root/etc/composition', `${products.map(line).join('\n')}\n`)
  }

  /** Everything below a folder but psyblob's own: type, mode, owner, target, bytes. */
  tree(dir: string, isOther: (path: string) => boolean = () => false): Readonly<Record<string, string>> {
    const found: Record<string, string> = {}
    const visit = (path: string) => {
      for (const name of readdirSync(this.path(dir, path)).sort()) {
        const below = `${path}/${name}`
        if (below === '/var/psyblob' || below === '/etc/composition' || isOther(below)) continue
        const state = lstatSync(this.path(dir, below))
        const rights = `${state.isSymbolicLink() ? '' : (state.mode & 0o7777).toString(8)} ${state.uid}:${state.gid}`
        if (state.isDirectory()) {
          found[below] = `folder ${rights}`
          visit(below)
        } else if (state.isSymbolicLink()) found[below] = `link ${rights} ${readlinkSync(this.path(dir, below))}`
        else if (!state.isFile()) found[below] = `other ${rights}`
        else found[below] = `file ${rights} ${readFileSync(this.path(dir, below)).toString('base64').slice(0, 60)} ${state.size}`
      }
    }
    visit('')
    return found
  }

  /** A second release: something of everything changes. */
  change(): void {
    this.write('src/usr/bin/tool', '#!/bin/sh\necho two\n')
    this.write('src/usr/bin/new', 'new\n')
    this.remove('src/usr/share/data/twin')
    chmodSync(this.path('src/etc/secret'), 0o640)
    this.remove('src/usr/lib/libx.so')
    symlinkSync('./libx.so.1', this.path('src/usr/lib/libx.so'))
    mkdirSync(this.path('src/var/more/below'), { recursive: true })
    this.remove('src/var/empty')
  }

  /** So that a test may touch a file and its folder looks untouched. */
  age(name: string): void {
    lutimesSync(this.path(name), 1, 1)
  }

  inRoot(path: string): string {
    return join(this.dir, 'root', path)
  }
}
