package dev.performer.cli;

import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code embed}: vectors of sequences. */
@Command(
    name = "embed",
    description = {
      "Turn sequences into vectors with the model's signature embed.",
      "",
      "Y.npz has 'embedding' [N, E] ('embeddings' [N, L, E] with --pool none), 'tokens' and 'lengths'."
    })
final class EmbedCommand implements Callable<Integer> {
  /** How the states of a sequence's tokens become one vector. */
  enum Pool {
    MEAN,
    MAX,
    CLS,
    NONE
  }

  @Mixin private OutputOptions output;

  @Parameters(index = "0", paramLabel = "MODEL", description = "A SavedModel directory of ours.")
  private Path model;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "X",
      description = "X.fasta(.gz), or X.txt with one sequence a line.")
  private Path data;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "Y.npz",
      description = "Where vectors go.")
  private Path target;

  @Option(
      names = "--pool",
      defaultValue = "mean",
      description = "mean, max, cls (the first token) or none (default: ${DEFAULT-VALUE}).")
  private Pool pool;

  @Option(
      names = "--length",
      defaultValue = "1024",
      description = "Tokens of a sequence at most (default: ${DEFAULT-VALUE}).")
  private int length;

  @Option(
      names = "--batch",
      defaultValue = "8",
      description = "Sequences at a time (default: ${DEFAULT-VALUE}).")
  private int batch;

  @Override
  public Integer call() {
    if (length < 1 || batch < 1) {
      throw new UsageException("--length and --batch must be at least 1");
    }
    if (!target.toString().endsWith(".npz")) {
      throw new UsageException(
          "--output is written as .npz; give a name that ends so, not " + target);
    }
    LanguageModelOptions options = LanguageModelOptions.defaults();
    options.signature = "embed";
    LanguageModelOptions.Tokenized how = options.tokenizer(model);
    TokenizedSequences sequences = TokenizedSequences.read(data, how.tokenizer(), length);
    sequences.report().ifPresent(System.err::println);
    Map<String, NpyArray> outputs;
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      outputs = sequences.predict(predictor, how, batch);
    }
    Map<String, NpyArray> kept = new LinkedHashMap<>();
    NpyArray states = outputs.get("embeddings");
    if (pool == Pool.NONE) {
      kept.put("embeddings", states);
    } else {
      kept.put("embedding", pooled(states, sequences));
    }
    kept.put("tokens", outputs.get("tokens"));
    kept.put("lengths", outputs.get("lengths"));
    Npz.write(target, kept);
    kept.forEach((name, array) -> output.text().println(name + " " + array));
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("output", target.toString());
    json.put("sequences", sequences.ids().size());
    output.printJson(json);
    return 0;
  }

  private NpyArray pooled(NpyArray states, TokenizedSequences sequences) {
    int rows = (int) states.shape()[0];
    int positions = (int) states.shape()[1];
    int size = (int) states.shape()[2];
    float[] all = states.floats();
    float[] result = new float[rows * size];
    for (int r = 0; r < rows; r++) {
      int count = pool == Pool.CLS ? 1 : Math.max(1, sequences.ids().get(r).length);
      for (int c = 0; c < size; c++) {
        double value = pool == Pool.MAX ? Double.NEGATIVE_INFINITY : 0;
        for (int p = 0; p < count; p++) {
          double x = all[(r * positions + p) * size + c];
          value = pool == Pool.MAX ? Math.max(value, x) : value + x / count;
        }
        result[r * size + c] = (float) value;
      }
    }
    return NpyArray.of(result, rows, size);
  }
}
