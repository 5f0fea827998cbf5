// A recipe says what an OS is made of: one YAML file that a person writes (spec/recipe.md).

export type Recipe = {
  /** The product it is published as. */
  readonly name: string
  /** The folder of the recipe file: relative paths in it begin here. */
  readonly dir: string
  readonly architecture: 'x86_64' | 'aarch64'
  readonly root: RootSource
  /** Globs of paths that are left out, e.g. `/usr/share/doc/*`. */
  readonly exclude: readonly string[]
  /** Run in the root file system by its shell, one after the other, once the packages are there. */
  readonly commands: readonly string[]
  readonly files: readonly RecipeFile[]
  readonly kernel: KernelSource
  readonly initramfs: {
    /** Modules besides those that disks, file systems and the watchdog need; dependencies are found. */
    readonly modules: readonly string[]
    /** Seconds after which a boot that was never called healthy is reset; 0: never. */
    readonly watchdog: number
  }
  readonly squashfs: {
    readonly compression: 'zstd' | 'xz' | 'gzip' | 'lz4'
    readonly level: number | undefined
    /** Bytes. */
    readonly block: number
    readonly fragments: boolean
  }
  readonly psyblob: {
    /** How psyblob gets into the image: one file for the distribution's Node, a single executable, or not at all. */
    readonly program: 'bundle' | 'executable' | 'none'
    readonly agent: AgentOptions | undefined
    /** Lines of /etc/composition. */
    readonly composition: readonly Readonly<Record<string, unknown>>[]
  }
  readonly efisys: EfisysOptions
}

export type RootSource =
  | {
      readonly distribution: 'debian'
      readonly suite: string
      readonly variant: string
      readonly repositories: readonly string[]
      /** Files with the repositories' keys. */
      readonly keys: readonly string[]
      readonly packages: readonly string[]
    }
  | {
      readonly distribution: 'alpine'
      readonly repositories: readonly string[]
      readonly keys: readonly string[]
      readonly packages: readonly string[]
    }
  /** A tar file or a folder that something else made. */
  | { readonly distribution: 'none'; readonly from: string }

export type KernelSource =
  /** A package of the distribution, e.g. `linux-image-cloud-amd64` or `linux-virt`. */
  | { readonly package: string }
  /** A folder with kernel (or vmlinuz-*), System.map-*, config-* and lib/modules. */
  | { readonly dir: string }

export type RecipeFile = {
  readonly path: string
  readonly mode: number
  readonly content: { readonly text: string } | { readonly from: string } | { readonly link: string } | 'folder'
}

/** As the flags of `psyblob agent` take them, e.g. `1h`, `02:00-04:00`. */
export type AgentOptions = {
  readonly every: string
  readonly jitter: string
  /** When it may reboot into an update: `always`, `never`, or a span of the day. */
  readonly reboot: string
  /** How long health checks may go on failing after a boot. */
  readonly patience: string
}

export type EfisysOptions = {
  /** Words for the kernel's command line. */
  readonly commandLine: string
  /** Seconds that the menu stays. */
  readonly timeout: number
  /** Speed of the first serial port; 0 for none. */
  readonly serial: number
  readonly extraPrograms: readonly {
    readonly name: string
    readonly title: string
    /** A .efi file on the machine that builds. */
    readonly from: string
  }[]
}
