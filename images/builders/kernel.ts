// `build kernel`: kernel, System.map, configuration and modules, of the distribution's package or of a folder.
import { cp, lstat, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import { hasCode, translated } from '../../store/mod.ts'
import { copyApkKeys } from './apk-keys.ts'
import { checkReplaceable, putInPlace } from './aside.ts'
import type { Artifact, BuildContext } from './builder.ts'
import { fetchDebian } from './debian-packages.ts'
import { findModules } from './modules.ts'
import type { Recipe } from './recipe.ts'

export type KernelOptions = {
  /** A folder that gets kernel, System.map, config and dtbs/. */
  readonly out: string
  /** A folder that gets lib/modules/VERSION, and boot/config-VERSION for whoever wants to know what the kernel can do. */
  readonly modules: string
}

/** What a kernel is called in packages of any distribution. */
const kernelNames = /^(vmlinuz|vmlinux|bzImage|Image|kernel)(-.*)?$/

/** The programs that `kernel` runs for this recipe. */
export function kernelPrograms({ kernel, root }: Recipe): readonly string[] {
  if ('dir' in kernel) return ['depmod']
  return root.distribution === 'alpine' ? ['depmod', 'apk'] : ['depmod', 'apt-get', 'apt-cache', 'dpkg-deb']
}

/** What a folder that `buildKernel` made may hold. */
const ownNames = ['kernel', 'System.map', 'config', 'dtbs', 'modules']

/** Leaves all of it in the folder `out`, the modules in modules/. A build that fails or is killed leaves what was there before. */
export async function buildKernel(recipe: Recipe, { out }: { readonly out: string }, context: BuildContext): Promise<readonly Artifact[]> {
  await checkReplaceable(out, { names: ownNames })
  const made = join(context.work, 'made')
  const artifacts = await kernel(recipe, { out: made, modules: join(made, 'modules') }, context)
  await putInPlace(made, out)
  return artifacts.map((artifact) => ({ ...artifact, path: join(out, artifact.path.slice(made.length + 1)) }))
}

/** Errors: `not-found` (package, kernel, modules, keys), `command-failed`. */
export async function kernel(recipe: Recipe, { out, modules }: KernelOptions, context: BuildContext): Promise<readonly Artifact[]> {
  const { run, report, work, signal } = context
  const source = 'dir' in recipe.kernel ? resolve(recipe.dir, recipe.kernel.dir) : await unpacked(recipe, recipe.kernel.package, context)
  signal?.throwIfAborted()
  report({ type: 'step', step: 'kernel', about: 'dir' in recipe.kernel ? recipe.kernel.dir : recipe.kernel.package })
  const places = [join(source, 'boot'), source]
  const found = await findModules(source)
  const file = async (names: RegExp): Promise<string | undefined> => {
    for (const place of places) {
      const name = (await list(place))
        .filter((one) => names.test(one))
        .sort((one, two) => score(two, found.version) - score(one, found.version))[0]
      if (name !== undefined && (await stat(join(place, name))).isFile()) return join(place, name)
    }
    return undefined
  }
  const image = await file(kernelNames)
  if (image === undefined)
    throw new PsyblobError('not-found', `no kernel in ${visible(source)}`, {
      hint: 'it is called vmlinuz-VERSION, or kernel, and lies there or in boot/',
    })
  await mkdir(out, { recursive: true })
  const artifacts: Artifact[] = []
  const put = async (name: string, from: string | undefined) => {
    if (from === undefined) return
    const path = join(out, name)
    await writeFile(path, await readFile(from), { mode: 0o644 })
    artifacts.push({ name, path, size: (await stat(path)).size })
  }
  await put('kernel', image)
  await put('System.map', await file(/^System\.map(-.*)?$/))
  const config = await file(/^config(-.*)?$/)
  await put('config', config)
  const tree = join(modules, 'lib/modules', found.version)
  await mkdir(tree, { recursive: true })
  for (const name of await list(found.dir)) {
    const state = await lstat(join(found.dir, name))
    // what was built for it elsewhere too (updates/dkms), but not the links to where it was built, nor the lists that depmod makes
    if (state.isDirectory() || /^modules\.(order|builtin|builtin\.modinfo)$/.test(name))
      await cp(join(found.dir, name), join(tree, name), { recursive: true, verbatimSymlinks: true })
  }
  await run(['depmod', '-b', modules, found.version])
  for (const name of await list(tree))
    if (/^modules\.(.*\.bin|devname)$/.test(name) && (await stat(join(tree, name))).size === 0) await rm(join(tree, name))
  await mkdir(join(modules, 'boot'), { recursive: true })
  if (config !== undefined) await cp(config, join(modules, 'boot', `config-${found.version}`))
  const blobs = join(work, 'dtbs')
  for (const place of [join(source, 'boot'), join(source, 'usr/lib'), source]) {
    for (const name of await list(place)) {
      if (!/^(dtbs?|linux-image)(-.*)?$/.test(name) || !(await stat(join(place, name))).isDirectory()) continue
      await cp(join(place, name), blobs, {
        recursive: true,
        filter: async (path) => (await stat(path)).isDirectory() || path.endsWith('.dtb'),
      })
    }
  }
  if ((await list(blobs)).length > 0) await cp(blobs, join(out, 'dtbs'), { recursive: true })
  return artifacts
}

/** The one of that version before any other. */
function score(name: string, version: string): number {
  return name.endsWith(`-${version}`) ? 2 : name.includes('-') ? 1 : 0
}

async function list(dir: string): Promise<readonly string[]> {
  const names = await readdir(dir).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return []
    throw translated(error, `reading ${dir}`)
  })
  return names.sort()
}

/** The kernel's package unpacked: nothing of it is run. */
async function unpacked(recipe: Recipe, name: string, context: BuildContext): Promise<string> {
  const { root } = recipe
  const { run, report, work, signal } = context
  const dir = join(work, 'kernel-package')
  await mkdir(dir)
  report({ type: 'step', step: 'fetch kernel', about: name })
  if (root.distribution === 'alpine') {
    const folder = join(work, 'kernel-keys')
    await copyApkKeys(recipe, folder)
    const repositories = root.repositories.flatMap((line) => ['--repository', line.replace(/^@\S+\s+/, '')])
    const asRoot = process.getuid?.() === 0 ? [] : ['--no-chown']
    await run(
      [
        ...(['apk', '--root', dir, '--initdb', '--arch', recipe.architecture, '--keys-dir', folder] as const),
        ...[...repositories, '--no-cache', '--no-progress', '--no-scripts', ...asRoot, 'add', name],
      ],
      { signal },
    )
    return dir
  }
  for (const file of await fetchDebian(recipe, name, context)) await run(['dpkg-deb', '--extract', file, dir], { signal })
  return dir
}
