package dev.performer.cli;

import dev.performer.data.DataFile;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.TableFile;
import dev.performer.data.TokenizedSequences;
import dev.performer.data.Tokenizer;
import dev.performer.pipeline.Embedder;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.ModelOptions;
import dev.performer.pipeline.SequencePooling;
import dev.performer.pipeline.TokenInput;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "embed",
    description = {
      "Turn sequences or texts into vectors, with the model's signature embed or, of encoders, its states.",
      "",
      "Y.npz has 'embedding' [N, E] ('embeddings' [N, L, E] with --pool none, zero where there is padding), 'tokens' and 'lengths'.",
      "Y.csv has a line per sequence: id, then E numbers; with --pool none a line per token: id, position, token, E numbers."
    },
    footer = {"", "Example:", "  ./performer embed MODEL --data x.fasta --output vectors.npz"})
final class EmbedCommand extends ModelCommand {
  @Mixin private SequenceInputs data;

  @Option(names = "--output", required = true, description = "Y.npz or Y.csv, for the vectors.")
  private Path target;

  @Option(
      names = "--pool",
      description = "Over tokens: mean, max, sum, cls (the class token, else the first) or none.")
  private SequencePooling pool = SequencePooling.MEAN;

  @Option(
      names = "--vocabulary",
      description = "Where the model names none: a name, bytes, or a tokenizer.json.")
  private String vocabulary;

  private record Result(Path output, int sequences, int size) {}

  @Override
  public Integer call() {
    data.requireSound(target);
    ModelOptions options =
        ModelOptions.builder()
            .tokenizer(vocabulary == null ? null : Tokenizer.named(vocabulary))
            .build();
    TokenInput input = Embedder.input(Model.open(model, options), data.isIds());
    input.notes().forEach(System.err::println);
    TokenizedSequences sequences = data.read(input);
    Map<String, NpyArray> kept;
    try (Embedder embedder = Embedder.load(input)) {
      kept = embedder.embed(sequences, pool, data.batch);
    }
    NpyArray vectors = kept.values().iterator().next();
    int size = (int) vectors.shape()[vectors.shape().length - 1];
    if (SequenceInputs.isCsv(target)) {
      DataFile.write(
          target,
          out -> {
            Writer writer = new OutputStreamWriter(out, StandardCharsets.UTF_8);
            writeCsv(writer, sequences, input.tokenizer(), vectors, size);
            writer.flush();
          });
    } else {
      Npz.write(target, kept);
    }
    kept.forEach((name, array) -> print(name + " " + array));
    return done(new Result(target, sequences.ids().size(), size));
  }

  private void writeCsv(
      Writer out, TokenizedSequences sequences, Tokenizer tokenizer, NpyArray vectors, int size)
      throws IOException {
    float[] values = vectors.floats();
    boolean isPerToken = pool == SequencePooling.NONE;
    out.append(isPerToken ? "id,position,token" : "id");
    for (int c = 0; c < size; c++) {
      out.append(",e" + c);
    }
    out.append('\n');
    int length = isPerToken ? (int) vectors.shape()[1] : 1;
    List<String> tokens = tokenizer.vocabulary().tokens();
    for (int r = 0; r < sequences.names().size(); r++) {
      String id = TableFile.field(sequences.names().get(r));
      int[] ids = sequences.ids().get(r);
      for (int i = 0; i < (isPerToken ? ids.length : 1); i++) {
        out.append(id);
        if (isPerToken) {
          String token = ids[i] < tokens.size() ? tokens.get(ids[i]) : "";
          out.append("," + i + ',').append(TableFile.field(token));
        }
        for (int c = 0; c < size; c++) {
          out.append(',').append(Float.toString(values[(r * length + i) * size + c]));
        }
        out.append('\n');
      }
    }
  }
}
