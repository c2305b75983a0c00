package dev.performer.cli;

import dev.performer.data.DataFile;
import dev.performer.data.TokenizedSequences;
import dev.performer.pipeline.TokenInput;
import java.nio.file.Path;
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
  Path inputs;

  @Option(
      names = "--length",
      paramLabel = "L",
      description =
          "Tokens of a sequence at most; longer ones are cropped (default: "
              + TokenInput.DEFAULT_LENGTH
              + ", or what the model takes if that is less).")
  Integer length;

  @Option(names = "--batch", description = "Sequences at a time.")
  int batch = 8;

  /** Reads the file; tells on stderr what was not taken as it stood. */
  TokenizedSequences read(TokenInput input) {
    TokenizedSequences sequences = length == null ? input.read(inputs) : input.read(inputs, length);
    sequences.report().ifPresent(line -> System.err.println(inputs + ": " + line));
    return sequences;
  }

  /** Checks what a user may have mistyped, before anything runs. */
  void requireSound(Path target) {
    UsageException.require(
        (length == null || length >= 1) && batch >= 1, "--length and --batch must be at least 1");
    UsageException.require(
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
}
