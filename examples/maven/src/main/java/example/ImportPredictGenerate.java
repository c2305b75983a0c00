package example;

import dev.performer.pipeline.GenerationOptions;
import dev.performer.pipeline.Importer;
import dev.performer.pipeline.Predictor;
import dev.performer.pipeline.TextGenerator;
import dev.performer.serving.Sampling;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** A checkpoint of Google's Flax code becomes a SavedModel, predicts, and continues a protein. */
public final class ImportPredictGenerate {
  private ImportPredictGenerate() {}

  public static void main(String[] args) {
    Path model = Path.of(args[1]);
    Importer.of(Path.of(args[0])).write(model, true);

    try (Predictor predictor = Predictor.load(model)) {
      var logits = predictor.predict(List.of("MKT")).get("logits");
      System.out.println("logits " + Arrays.toString(logits.shape()));
    }
    var options = GenerationOptions.DEFAULT.withMaxTokens(20).withSampler(Sampling.DEFAULT.withSeed(1));
    try (TextGenerator generator = TextGenerator.load(model)) {
      System.out.print("text MKT");
      generator.stream("MKT", options, System.out::print); // as it comes
      System.out.println();
    }
  }
}
