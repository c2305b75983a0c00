package dev.performer.cli;

import static java.util.stream.Collectors.joining;

import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.model.TextEmbedding;
import dev.performer.pipeline.Embedder;
import dev.performer.pipeline.EmbeddingSpec;
import dev.performer.pipeline.Model;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "embed",
    description = {
      "Turn sequences or texts into vectors, with the model's signature embed or any output that has vectors.",
      "",
      "Y.npz has 'embedding' [N, E] ('embeddings' [N, L, E] with --pool none, zero where there is padding), 'tokens' and 'lengths'.",
      "Y.csv has a line per sequence: id, then E numbers; with --pool none a line per token: id, position, token, E numbers."
    },
    footer = {"", "Example:", "  ./performer embed MODEL --data x.fasta --output vectors.npz"})
final class EmbedCommand extends PerformerCommand.OnModel {
  @Mixin private SequenceInputs data;

  @Option(names = "--output", required = true, description = "Y.npz or Y.csv, for the vectors.")
  private Path target;

  @Mixin private SharedOptions.Tensors tensors;

  @Option(
      names = "--output-name",
      description =
          "Output [B, L, E], or [B, E] with a vector for each sequence (default: by name and shape).")
  private String outputName;

  @Option(
      names = "--pool",
      description =
          "Over tokens: mean, max, sum, cls (the class token, else the first), last, mean-sqrt, weighted-mean or none (default: from performer.json, else mean).")
  private TextEmbedding.Pooling pool;

  @Option(
      names = "--normalize",
      negatable = true,
      description = "Vectors of length 1 (default: from performer.json, else not).")
  private Boolean normalize;

  private record Result(Path output, int sequences, int size) {}

  @Override
  public Integer call() {
    data.requireSound(target);
    var given = new EmbeddingSpec.Options(outputName, pool, normalize);
    var spec = EmbeddingSpec.of(Model.open(model, tensors.given()), given, data.isIds());
    var input = spec.input();
    var sequences = data.read(input);
    Map<String, NpyArray> kept;
    try (Embedder embedder = Embedder.load(spec)) {
      kept = embedder.embed(sequences, data.batch);
    }
    NpyArray vectors = kept.values().iterator().next(); // [N, E] or [N, L, E]
    long[] shape = vectors.shape();
    int size = (int) shape[shape.length - 1];
    if (SequenceInputs.isCsv(target)) {
      boolean isPerToken = shape.length == 3;
      int length = isPerToken ? (int) shape[1] : 1;
      float[] all = vectors.floats();
      String header = IntStream.range(0, size).mapToObj(c -> ",e" + c).collect(joining());
      SequenceInputs.Columns columns =
          (r, i) ->
              IntStream.range((r * length + i) * size, (r * length + i + 1) * size)
                  .mapToObj(at -> "," + all[at])
                  .collect(joining());
      SequenceInputs.writeCsv(target, sequences, input, isPerToken, header, columns);
    } else {
      Npz.write(target, kept);
    }
    kept.forEach((name, array) -> print(name + " " + array));
    return done(new Result(target, sequences.ids().size(), size));
  }
}
