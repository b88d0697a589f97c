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

export default defineConfig({
  base: './',
  plugins: [keepWoff2Only()],
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
