import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';

// KaTeX's style sheet offers each font in three formats; every browser that runs this page takes woff2.
function keepWoff2Only(): Plugin {
  return {
    name: 'keep-woff2-only',
    enforce: 'pre',
    transform(code, id) {
      if (!id.endsWith('katex.css') && !id.endsWith('katex.min.css')) return null;
      return code.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\(["'][a-z]+["']\)/g, '');
    },
  };
}

/** Writes the name, version and licence of every package that the bundle holds a part of. */
function writeLicenses(): Plugin {
  const folders = new Set<string>();
  return {
    name: 'write-licenses',
    moduleParsed({ id }) {
      const folder = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id.replace(/^\0/, ''));
      if (folder) folders.add(folder[0]);
    },
    generateBundle() {
      const notices = [...folders].map((folder) => {
        const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
        const file = readdirSync(folder).find((one) => /^licen[cs]e(-mit)?(\.(txt|md))?$/i.test(one));
        if (!file) throw new Error(`${name} has no licence file`);
        const text = readFileSync(join(folder, file), 'utf8').replace(/\r/g, '').trim();
        return `${name} ${version} (${license.replace(/^\(|\)$/g, '')})\n\n${text}\n`;
      });
      const source = notices.sort().join(`\n${'-'.repeat(80)}\n\n`);
      this.emitFile({ type: 'asset', fileName: 'third-party-licenses.txt', source });
    },
  };
}

export default defineConfig({
  base: './',
  plugins: [keepWoff2Only(), writeLicenses()],
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none' },
  build: {
    target: 'es2022',
    // The content security policy allows fonts from the server only, so nothing is inlined as a data: URL.
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: false,
    chunkSizeWarningLimit: 1000,
    rollupOptions: {
      output: {
        inlineDynamicImports: true,
        entryFileNames: 'app.js',
        // The server serves fixed paths; ETags, not names, tell versions apart.
        assetFileNames: (asset) => (asset.names.some((name) => name.endsWith('.css')) ? 'app.css' : 'fonts/[name][extname]'),
      },
    },
  },
  test: { include: ['tests/unit/**/*.test.ts'] },
} as Parameters<typeof defineConfig>[0]);
