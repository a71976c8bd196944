/** What `--help` says of the flags that say which Headrace is meant. */
export const CONNECTION = `  --url <url>          where Headrace serves (HEADRACE_URL, else what \`up\` runs, else
                       http://127.0.0.1:8080)
  --data-dir <folder>  where \`up\` keeps the local API key (.data); HEADRACE_API_KEY wins`;
