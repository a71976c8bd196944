import { CONNECTION } from "../connection-help.ts";
import type { BatchCommandName } from "./batch-flags.ts";

/** The line that shows how each command on batches is written. */
export const BATCH_LINES: Readonly<Record<BatchCommandName, string>> = {
  "batch run": "headrace batch run -o <answers.jsonl> [--dry-run] [flags] <file> | -",
  "batch status": "headrace batch status [--json] [flags] <batch id>",
  "batch results": "headrace batch results [-o <file>] [--text] [flags] <batch id>",
  "batch cancel": "headrace batch cancel [--json] [flags] <batch id>",
  "batch list": "headrace batch list [--limit 20] [--json] [flags]",
};

/** What `--help` prints of them. */
export const BATCH_DETAILS: Readonly<Record<BatchCommandName, string>> = {
  "batch run": `Have a file of requests answered, however many they are, and write the answers to a file, in the
requests' order. What was not answered is written apart: answers.errors.jsonl. The exit code is 0
when all was answered, 1 when some was not, 2 when the input or the flags cannot be run.

Ctrl-C leaves the batch running; the same command again goes on, also after being killed, by what
stands in answers.jsonl.headrace.json.

A file holds, one a line or row:
  .jsonl               OpenAI's batch lines, or {"prompt": "…"} and whatever else the request takes
  .csv, .tsv           UTF-8, its first line the columns' names
  .parquet             read a group of rows at a time

  -o, --output <file>  where the answers go
  --text               write {"custom_id", "text", "finish_reason"}, or {"custom_id", "embedding"};
                       else OpenAI's output lines
  --overwrite          write over what is there, and forget the run that it is of

  --format <name>      jsonl, csv, tsv or parquet, where the name does not tell; - is jsonl
  --column <name>      the column, or field, that is the prompt (prompt, or the only one)
  --template <text>    a prompt with columns in it: 'Classify: {{text}}'
  --id-column <name>   what names each request (custom_id, else line-1, line-2, …)
  --model <name>       which model, whatever lines say (theirs, else the only one there is)
  --endpoint <name>    chat, completions, embeddings or responses (the lines', else chat)
  --system <text>, --max-tokens <count>, --temperature <number>
                       for requests that say nothing of it
  --completion-window <time>
                       within what time all is to be done: 90m, 24h, 7d (24h)
  --metadata <pairs>   kept with the batch: run=7,team=data

  --dry-run            check the input, and say what running it may take; send nothing
  --tokens-per-second <number>
                       the pace to reckon with (the last batch's, of a Headrace that can be reached)
  --gpu-hour-price <amount>
                       what an hour of one GPU costs (the server's)
  --json               each state of the batch as a line of JSON; the estimate as JSON
${CONNECTION}`,
  "batch status": `Show how a batch gets on.

  --json               the batch as the API gives it
${CONNECTION}`,
  "batch results": `Print what a batch has so far, answers and errors, as they came; before its end, too.

  -o, --output <file>  to a file, which appears when all of it is there
  --text               {"custom_id", "text", …} or {"custom_id", "error"} instead of OpenAI's lines
${CONNECTION}`,
  "batch cancel": `End a batch with what it has done.

  --json               the batch as the API gives it
${CONNECTION}`,
  "batch list": `Show the batches there are, newest first.

  --limit <count>      how many, to 100 (20)
  --json               as the API gives them
${CONNECTION}`,
};
