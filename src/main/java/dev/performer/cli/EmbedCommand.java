package dev.performer.cli;

import dev.performer.data.Field;
import dev.performer.model.TextEmbedding;
import dev.performer.pipeline.BatchJob;
import dev.performer.pipeline.Embedder;
import dev.performer.pipeline.EmbeddingSpec;
import dev.performer.pipeline.Model;
import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "embed",
    description = {
      "Turn sequences or texts into vectors, with the model's signature embed or any output that has vectors.",
      "",
      "Y.npz has 'embedding' [N, E] ('embeddings' [N, L, E] with --pool none, zero where there is padding), 'tokens' and 'lengths'.",
      "Y.csv has a line per sequence: id, then E numbers; with --pool none a line per token: id, position, token, E numbers.",
      "Y.parquet has the columns id and embedding, a list of E numbers."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer embed MODEL --data x.fasta --output vectors.npz",
      "  ./performer embed MODEL --data 'parts/*.parquet' --keep-columns label --output vectors.parquet --resume"
    })
final class EmbedCommand extends PerformerCommand.OnModel {
  @Mixin private SequenceInputs data;

  @Option(
      names = "--output",
      required = true,
      description = "Y.npz, Y.csv or Y.parquet, for the vectors.")
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
          "Over tokens: mean, max, sum, cls (the class token, else the first), last, mean-sqrt, weighted-mean, mean-inner (without the first and the last token) or none (default: from performer.json, else mean).")
  private TextEmbedding.Pooling pool;

  @Option(
      names = "--normalize",
      negatable = true,
      description = "Vectors of length 1 (default: from performer.json, else not).")
  private Boolean normalize;

  private record Result(
      Path output, long sequences, int size, long resumed, long skipped, Path skippedFile) {}

  @Override
  public Integer call() {
    data.requireSound(target, true);
    var given = new EmbeddingSpec.Options(outputName, pool, normalize);
    var spec = EmbeddingSpec.of(Model.open(model, tensors.given()), given, data.isIds());
    int[] size = new int[1];
    BatchJob.Result result;
    try (Embedder embedder = Embedder.load(spec)) {
      BatchJob job = data.job(embedder.rows(), target);
      result =
          data.run(
              job,
              (fields, items, rows) -> {
                int one = Field.place(fields, "embedding");
                int place = one < 0 ? Field.place(fields, "embeddings") : one;
                size[0] = fields.get(place).width();
              });
    }
    SequenceInputs.print(this, result);
    return done(
        new Result(
            target,
            result.rows(),
            size[0],
            result.resumed(),
            result.skipped(),
            result.skippedFile()));
  }
}
