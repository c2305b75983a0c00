package dev.performer.cli;

import static dev.performer.cli.PerformerCommand.requireUsage;

import dev.performer.data.DataFile;
import dev.performer.data.TableFile;
import dev.performer.data.TokenizedSequences;
import dev.performer.pipeline.TokenInput;
import java.io.BufferedWriter;
import java.io.OutputStreamWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Option;

/** The file whose sequences a command works on, and where the result goes. */
final class SequenceInputs {
  @Option(
      names = {"--inputs", "--data"},
      required = true,
      paramLabel = "X",
      description =
          "X.fasta(.gz), X.txt with one sequence or text a line, X.csv or X.tsv with a column sequence or text, or X.npz with token ids 'tokens' [N, L].")
  private Path inputs;

  @Option(
      names = "--length",
      paramLabel = "L",
      description =
          "Tokens of a sequence at most; longer ones are cropped (default: "
              + TokenInput.DEFAULT_LENGTH
              + ", or what the model takes if that is less).")
  private Integer length;

  @Option(names = "--batch", description = "Sequences at a time.")
  int batch = 8;

  /** Reads the file; stderr gets the notes on the model and what was not taken as it stood. */
  TokenizedSequences read(TokenInput input) {
    input.notes().forEach(System.err::println);
    TokenizedSequences sequences = length == null ? input.read(inputs) : input.read(inputs, length);
    sequences.report().ifPresent(line -> System.err.println(inputs + ": " + line));
    return sequences;
  }

  /** Checks what a user may have mistyped, before anything runs. */
  void requireSound(Path target) {
    requireUsage(
        (length == null || length >= 1) && batch >= 1, "--length and --batch must be at least 1");
    requireUsage(
        target == null || isCsv(target) || target.toString().endsWith(".npz"),
        "--output is written as .npz or .csv; give a name that ends so, not %s",
        target);
    DataFile.require(inputs);
  }

  /** Whether token ids come, not texts. */
  boolean isIds() {
    return inputs.toString().toLowerCase(Locale.ROOT).endsWith(".npz");
  }

  static boolean isCsv(Path target) {
    return target.toString().toLowerCase(Locale.ROOT).endsWith(".csv");
  }

  /** The columns of a line of CSV, each behind a comma. */
  interface Columns {
    String of(int sequence, int position);
  }

  /** Writes CSV, a line for each sequence or for each of its tokens. */
  static void writeCsv(
      Path target,
      TokenizedSequences sequences,
      TokenInput input,
      boolean isPerToken,
      String header,
      Columns columns) {
    List<String> tokens = input.tokenizer().vocabulary().tokens();
    List<int[]> rows = sequences.ids();
    DataFile.write(
        target,
        out -> {
          var csv = new BufferedWriter(new OutputStreamWriter(out, StandardCharsets.UTF_8));
          csv.append(isPerToken ? "id,position,token" : "id").append(header).append('\n');
          for (int r = 0; r < rows.size(); r++) {
            String id = TableFile.field(sequences.names().get(r));
            int[] ids = rows.get(r);
            for (int i = 0; i < (isPerToken ? ids.length : 1); i++) {
              csv.append(id);
              if (isPerToken) {
                String token = ids[i] < tokens.size() ? tokens.get(ids[i]) : "";
                csv.append("," + i + ',').append(TableFile.field(token));
              }
              csv.append(columns.of(r, i)).append('\n');
            }
          }
          csv.flush();
        });
  }
}
