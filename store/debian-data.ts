// What a Debian root says of itself: which package a file is of, where its copyright lies, and which source package it was built from.
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'

export type DebianFile = {
  /** Path of the copyright file in the root; undefined when it is not there. */
  readonly copyright: string | undefined
  readonly source: DebianSource
}
export type DebianSource = { readonly name: string; readonly version: string }

/** By path in the root; undefined when it is no Debian. Links of the root are followed within it: package data has /bin/ls, the file is /usr/bin/ls. */
export function debianData(root: string): ReadonlyMap<string, DebianFile> | undefined {
  const status = textOf(`${root}/var/lib/dpkg/status`)
  if (status === undefined) return undefined
  const info = `${root}/var/lib/dpkg/info`
  const lists = new Set(namesIn(info))
  const way = new Way(root)
  const files = new Map<string, DebianFile>()
  for (const stanza of status.split('\n\n')) {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1]
    const [name, version] = [field('Package'), field('Version')]
    if (name === undefined || version === undefined || !/^install ok installed$/.test(field('Status') ?? '')) continue
    const list = [`${name}.list`, `${name}:${field('Architecture')}.list`].find((one) => lists.has(one))
    if (list === undefined) continue
    const copyright = way.resolve(`/usr/share/doc/${name}/copyright`)
    const file = { copyright: way.isFile(copyright) ? copyright : undefined, source: sourceOf(field('Source'), { name, version }) }
    for (const path of (textOf(`${info}/${list}`) ?? '').split('\n')) if (path.length > 2) files.set(way.resolve(path), file)
  }
  return files
}

/** `Source: name (version)`, either part of which is that of the package when it is not said. */
function sourceOf(field: string | undefined, built: DebianSource): DebianSource {
  const [, name, version] = /^(\S+)(?: \((.+)\))?$/.exec(field ?? '') ?? []
  return { name: name ?? built.name, version: version ?? built.version }
}

/** Paths of a root with the links on the way to them followed, within the root. */
class Way {
  readonly #root: string
  readonly #folders = new Map<string, string>([['', '']])

  constructor(root: string) {
    this.#root = root
  }

  /** The last name is taken as it is. */
  resolve(path: string): string {
    const cut = path.lastIndexOf('/')
    return `${this.#folder(path.slice(0, cut), 0)}${path.slice(cut)}`
  }

  isFile(path: string): boolean {
    return lstatSync(`${this.#root}${path}`, { throwIfNoEntry: false })?.isFile() === true
  }

  #folder(path: string, links: number): string {
    const known = this.#folders.get(path)
    if (known !== undefined) return known
    const cut = path.lastIndexOf('/')
    const place = `${this.#folder(path.slice(0, cut), links)}${path.slice(cut)}`
    const state = lstatSync(`${this.#root}${place}`, { throwIfNoEntry: false })
    let found = place
    if (state?.isSymbolicLink() === true && links < 40) {
      const target = readlinkSync(`${this.#root}${place}`)
      found = this.#folder(normal(target.startsWith('/') ? target : `${place.slice(0, place.lastIndexOf('/'))}/${target}`), links + 1)
    }
    this.#folders.set(path, found)
    return found
  }
}

function normal(path: string): string {
  const segments: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop()
    else if (segment !== '' && segment !== '.') segments.push(segment)
  }
  return segments.map((segment) => `/${segment}`).join('')
}

function textOf(path: string): string | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(path, 'utf8') : undefined
}

function namesIn(folder: string): readonly string[] {
  return lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() === true ? readdirSync(folder) : []
}
