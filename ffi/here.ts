/**
 * Where LightGPT's code lies, which tells where its files do. The package of npm has this module as a file of its own, whatever
 * else is put together: the address of another file would say nothing.
 *
 * @module
 */

/** This module's address; a bundler that writes CommonJS leaves none. */
export const here: string | undefined = import.meta.url;
