// postject brings no types: the one function that is used.
declare module 'postject' {
  function inject(file: string, resource: string, data: Uint8Array, options: { readonly sentinelFuse: string }): Promise<void>
  const api: { readonly inject: typeof inject }
  export default api
}
