// Runs GRUB's script as GRUB 2.06 would, as far as psyblob's uses it: the very text that is built into the loader, on files that a test makes.
// After GRUB's own sources: grub-core/commands/ for what the commands answer, script/ for the language.
import { isBlock, readVariables, setVariable } from './grub-environment.ts'

export type GrubWorld = {
  /** Contents by full name, e.g. `(hd0,gpt1)/tries`. */
  readonly files: Map<string, Buffer>
  readonly folders: Set<string>
  /** Label and UUID of file systems by device, e.g. `hd0,gpt3`. */
  readonly systems: ReadonlyMap<string, { readonly label: string; readonly uuid: string }>
  readonly cmdpath: string
  /** Kernels that GRUB cannot load. */
  readonly badKernels?: ReadonlySet<string>
  /** Files that cannot be written. */
  readonly readOnly?: ReadonlySet<string>
  /** Files that take what is written, and keep what they had. */
  readonly lying?: ReadonlySet<string>
}

/** What GRUB came to. */
export type GrubEnd =
  | { readonly kind: 'boot'; readonly kernel: string; readonly words: readonly string[] }
  | { readonly kind: 'chain'; readonly program: string }
  | { readonly kind: 'reboot' }
  | { readonly kind: 'menu' }

type Word = readonly { readonly text: string; readonly isVariable: boolean; readonly isQuoted: boolean }[]
type Command =
  | { readonly kind: 'run'; readonly words: readonly Word[] }
  | {
      readonly kind: 'if'
      readonly branches: readonly { readonly test: readonly Command[]; readonly body: readonly Command[] }[]
      readonly otherwise: readonly Command[]
    }
  | { readonly kind: 'for'; readonly name: string; readonly words: readonly Word[]; readonly body: readonly Command[] }
  | { readonly kind: 'function' | 'menuentry'; readonly words: readonly Word[]; readonly body: readonly Command[] }

class End {
  readonly end: GrubEnd
  constructor(end: GrubEnd) {
    this.end = end
  }
}

const separator = '\n'

/** Words and separators; a word keeps what was quoted apart from what was not. */
function wordsOf(script: string): readonly (Word | typeof separator)[] {
  const found: (Word | typeof separator)[] = []
  let word: { text: string; isVariable: boolean; isQuoted: boolean }[] | undefined
  const add = (text: string, { isVariable = false, isQuoted = false } = {}) => {
    word ??= []
    const last = word.at(-1)
    if (last !== undefined && !isVariable && !last.isVariable && last.isQuoted === isQuoted) last.text += text
    else word.push({ text, isVariable, isQuoted })
  }
  const end = () => {
    if (word !== undefined) found.push(word)
    word = undefined
  }
  const variable = (at: number): string => /^\$(\w+|\?|#|@)/.exec(script.slice(at))?.[1] ?? ''
  for (let at = 0; at < script.length; at++) {
    const character = script.charAt(at)
    if (character === '#' && word === undefined) {
      while (at < script.length && script.charAt(at) !== '\n') at++
      found.push(separator)
    } else if (character === '\n' || character === ';') {
      end()
      found.push(separator)
    } else if (character === ' ' || character === '\t') end()
    else if (character === "'") {
      const close = script.indexOf("'", at + 1)
      add(script.slice(at + 1, close), { isQuoted: true })
      at = close
    } else if (character === '"') {
      add('', { isQuoted: true })
      for (at++; script.charAt(at) !== '"'; at++) {
        if (script.charAt(at) === '$') {
          const name = variable(at)
          add(name, { isVariable: true, isQuoted: true })
          at += name.length
        } else if (script.charAt(at) === '\\' && /["$\\]/.test(script.charAt(at + 1))) add(script.charAt(++at), { isQuoted: true })
        else add(script.charAt(at), { isQuoted: true })
      }
    } else if (character === '$') {
      const name = variable(at)
      add(name, { isVariable: true })
      at += name.length
    } else add(character)
  }
  end()
  found.push(separator)
  return found
}

const plain = (word: Word | undefined) =>
  word === undefined || word.some(({ isVariable, isQuoted }) => isVariable || isQuoted) ? undefined : word.map(({ text }) => text).join('')

function parse(script: string): readonly Command[] {
  const tokens = wordsOf(script)
  let at = 0
  const until = (...ends: readonly string[]): { readonly commands: readonly Command[]; readonly end: string } => {
    const commands: Command[] = []
    for (;;) {
      while (tokens[at] === separator) at++
      if (at >= tokens.length) {
        if (ends.length > 0) throw new Error(`GRUB's script ends before ${ends.join(' or ')}`)
        return { commands, end: '' }
      }
      const first = plain(tokens[at] as Word)
      if (first !== undefined && ends.includes(first)) {
        at++
        return { commands, end: first }
      }
      commands.push(command(first))
    }
  }
  const rest = (): Word[] => {
    const words: Word[] = []
    while (at < tokens.length && tokens[at] !== separator && plain(tokens[at] as Word) !== '{') words.push(tokens[at++] as Word)
    return words
  }
  const command = (first: string | undefined): Command => {
    if (first === 'if') {
      at++
      const branches: { test: readonly Command[]; body: readonly Command[] }[] = []
      for (;;) {
        const test = until('then').commands
        const { commands, end } = until('elif', 'else', 'fi')
        branches.push({ test, body: commands })
        if (end === 'fi') return { kind: 'if', branches, otherwise: [] }
        if (end === 'else') return { kind: 'if', branches, otherwise: until('fi').commands }
      }
    }
    if (first === 'for') {
      const [, name, , ...words] = rest()
      until('do')
      return { kind: 'for', name: plain(name) ?? '', words, body: until('done').commands }
    }
    if (first === 'function' || first === 'menuentry') {
      const [, ...words] = rest()
      at++
      return { kind: first, words, body: until('}').commands }
    }
    return { kind: 'run', words: rest() }
  }
  return until().commands
}

/** What was read once: tests start one script thousands of times. */
const parsed = new Map<string, readonly Command[]>()

const patterns = new Map<string, RegExp>()
function patternOf(text: string): RegExp {
  const pattern = patterns.get(text) ?? new RegExp(text)
  patterns.set(text, pattern)
  return pattern
}

/** Starts GRUB: reads the script, then takes the menu's first entry as it does when nobody presses a key. */
export function runGrub(script: string, world: GrubWorld): GrubEnd {
  const variables = new Map<string, string>([['cmdpath', world.cmdpath]])
  const functions = new Map<string, readonly Command[]>()
  const entries: (readonly Command[])[] = []
  let parameters: readonly string[] = []
  let loaded: GrubEnd | undefined
  let steps = 0

  const lookUp = (name: string) => (/^\d+$/.test(name) ? (parameters[Number(name) - 1] ?? '') : (variables.get(name) ?? ''))
  const expand = (word: Word): readonly string[] => {
    const [only] = word
    if (word.length === 1 && only?.isVariable === false) return [only.text]
    let text = ''
    let isThere = false
    for (const part of word) {
      text += part.isVariable ? lookUp(part.text) : part.text
      if (!part.isVariable || part.isQuoted) isThere = true
    }
    // an empty variable outside of quotes is no word at all, and one with spaces is several
    if (!isThere && text === '') return []
    return word.some(({ isVariable, isQuoted }) => isVariable && !isQuoted) && /\s/.test(text)
      ? text.split(/\s+/).filter((one) => one !== '')
      : [text]
  }

  const compared: Readonly<Record<string, (one: string, two: string) => boolean>> = {
    '=': (one, two) => one === two,
    '!=': (one, two) => one !== two,
    // numbers of 32 bits
    '-gt': (one, two) => (Number.parseInt(one, 10) | 0) > (Number.parseInt(two, 10) | 0),
  }
  const conditions: Readonly<Record<string, (text: string) => boolean>> = {
    '-z': (text) => text === '',
    '-n': (text) => text !== '',
    '-f': (text) => world.files.has(text),
    '-s': (text) => (world.files.get(text)?.length ?? 0) > 0,
    '-d': (text) => world.folders.has(text),
    '-e': (text) => world.files.has(text) || world.folders.has(text),
  }
  /** As GRUB's test_parse: from the left, what three words compare before what one or two say. */
  const test = (words: readonly string[]): boolean => {
    let [isAll, isAny, isInverted] = [true, false, false]
    const take = (value: boolean) => {
      isAll = isAll && value !== isInverted
      isInverted = false
    }
    for (let at = 0; at < words.length; ) {
      const [one = '', two = '', three] = words.slice(at, at + 3)
      const compare = three === undefined ? undefined : compared[two]
      const condition = at + 1 < words.length ? conditions[one] : undefined
      if (compare !== undefined && three !== undefined) {
        take(compare(one, three))
        at += 3
      } else if (condition !== undefined) {
        take(condition(two))
        at += 2
      } else {
        if (one === '!') isInverted = !isInverted
        else if (one === '-o') [isAny, isAll] = [isAny || isAll, true]
        else if (one !== '-a') throw new Error(`this GRUB cannot test: ${words.join(' ')}`)
        at++
      }
    }
    return isAny || isAll
  }

  const commands: Readonly<Record<string, (words: readonly string[]) => boolean>> = {
    set: ([assignment = '']) => {
      const equals = assignment.indexOf('=')
      variables.set(assignment.slice(0, equals), assignment.slice(equals + 1))
      return true
    },
    unset: ([name = '']) => {
      variables.delete(name)
      return true
    },
    '[': (words) => test(words.slice(0, -1)),
    regexp: (words) => {
      const named = words[0]?.startsWith('--set=') === true ? /^--set=(\d+):(\w+)$/.exec(words[0]) : undefined
      const [pattern = '', text = ''] = named === undefined ? words : words.slice(1)
      const found = patternOf(pattern).exec(text)
      if (found !== null && named) variables.set(named[2] ?? '', found[Number(named[1])] ?? '')
      return found !== null
    },
    probe: ([set = '', what = '', device = '']) => {
      const system = world.systems.get(device.replace(/[()]/g, ''))
      if (system === undefined) return false
      variables.set(set.replace('--set=', ''), what === '--label' ? system.label : system.uuid)
      return true
    },
    search: (words) => {
      const label = words[words.indexOf('--label') + 1]
      const name = words.find((word) => word.startsWith('--set='))?.slice('--set='.length) ?? 'root'
      for (const [device, system] of world.systems) {
        if (system.label !== label) continue
        variables.set(name, device)
        return true
      }
      return false
    },
    load_env: ([, path = '', ...wanted]) => {
      const block = world.files.get(path)
      if (block === undefined || !isBlock(block)) return false
      for (const [name, value] of readVariables(block)) if (wanted.length === 0 || wanted.includes(name)) variables.set(name, value)
      return true
    },
    save_env: ([, path = '', ...names]) => {
      let block = world.files.get(path)
      if (block === undefined || !isBlock(block) || world.readOnly?.has(path) === true) return false
      for (const name of names) {
        const changed: Buffer | undefined = setVariable(block, name, variables.get(name) ?? '')
        if (changed === undefined) return false
        block = changed
      }
      if (world.lying?.has(path) !== true) world.files.set(path, block)
      return true
    },
    linux: ([kernel = '', ...words]) => {
      if (!world.files.has(kernel) || world.badKernels?.has(kernel) === true) return false
      loaded = { kind: 'boot', kernel, words }
      return true
    },
    initrd: ([path = '']) => world.files.has(path),
    chainloader: ([path = '']) => {
      const program = world.files.get(path)
      if (program === undefined || program.toString('latin1', 0, 2) !== 'MZ') return false
      loaded = { kind: 'chain', program: path }
      return true
    },
    loadfont: () => false,
    boot: () => {
      if (loaded !== undefined) throw new End(loaded)
      return false
    },
    reboot: () => {
      throw new End({ kind: 'reboot' })
    },
  }
  for (const name of ['echo', 'sleep', 'serial', 'terminal_input', 'terminal_output', 'true'])
    (commands as Record<string, () => boolean>)[name] = () => true

  const runAll = (all: readonly Command[]): boolean => {
    let isTrue = true
    for (const one of all) isTrue = runOne(one)
    return isTrue
  }
  const runOne = (one: Command): boolean => {
    if (++steps > 100_000) throw new Error('GRUB does not come to an end')
    if (one.kind === 'if') {
      for (const { test: condition, body } of one.branches) if (runAll(condition)) return runAll(body)
      return runAll(one.otherwise)
    }
    if (one.kind === 'for') {
      for (const word of one.words.flatMap(expand)) {
        variables.set(one.name, word)
        runAll(one.body)
      }
      return true
    }
    if (one.kind === 'function') {
      functions.set(plain(one.words[0]) ?? '', one.body)
      return true
    }
    if (one.kind === 'menuentry') {
      entries.push(one.body)
      return true
    }
    const [name = '', ...words] = one.words.flatMap(expand)
    const body = functions.get(name)
    if (body !== undefined) {
      const outer = parameters
      parameters = words
      try {
        return runAll(body)
      } finally {
        parameters = outer
      }
    }
    const command = commands[name]
    if (command === undefined) throw new Error(`this GRUB has no ${name}`)
    return command(words)
  }

  try {
    const commandsOfScript = parsed.get(script) ?? parse(script)
    parsed.set(script, commandsOfScript)
    runAll(commandsOfScript)
    const [first] = entries
    if (first !== undefined) runAll(first)
    return { kind: 'menu' }
  } catch (error) {
    if (error instanceof End) return error.end
    throw error
  }
}
