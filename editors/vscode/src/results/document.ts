// The page of the results view.

/** The page, which runs one script and loads one style sheet, both ours, and nothing else. */
export function page(parts: {
  nonce: string;
  source: string;
  script: string;
  style: string;
}): string {
  // Colours of outputs are attributes, whose values have been looked at; elements are not let in.
  const policy = [
    "default-src 'none'",
    "img-src data:",
    `script-src 'nonce-${parts.nonce}'`,
    `style-src-elem ${parts.source}`,
    "style-src-attr 'unsafe-inline'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>Results</title>
<link rel="stylesheet" href="${parts.style}">
</head>
<body>
<main></main>
<script nonce="${parts.nonce}" src="${parts.script}"></script>
</body>
</html>
`;
}
