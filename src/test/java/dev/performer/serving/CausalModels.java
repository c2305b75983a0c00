package dev.performer.serving;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import dev.performer.data.NpyArray;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.HeadCalibration;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/** Causal language models of random weights, large enough that their choices vary. */
public final class CausalModels {
  private CausalModels() {}

  public static Path write(Path target, String yaml) {
    return write(target, yaml, weights -> {});
  }

  /** What a test does to the weights before they are written. */
  public interface Change {
    void to(Map<String, NpyArray> weights);
  }

  public static Path write(Path target, String yaml, Change change) {
    return write(target, yaml, null, change);
  }

  public static Path write(Path target, String yaml, ModelCard.Vocabulary words, Change change) {
    PerformerConfig config;
    try {
      config = PerformerConfig.of(new ObjectMapper(new YAMLFactory()).readTree(yaml), "test");
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    Map<String, NpyArray> weights = weights(config);
    change.to(weights);
    ModelCard card =
        ModelCard.of(
            config.attentionOf(0), words, PerformerModels.languageModel(config, null), null);
    PerformerModels.write(config, weights, card, target, false);
    return target;
  }

  private static Map<String, NpyArray> weights(PerformerConfig config) {
    Random random = new Random(5);
    var projections = Performer.projections(config);
    Map<String, NpyArray> weights = new LinkedHashMap<>();
    Performer.shapes(config)
        .forEach(
            (name, shape) -> {
              float[] values = new float[(int) shape.size()];
              if (projections.containsKey(name)) {
                values = projections.get(name).values();
              } else {
                boolean isScale = name.endsWith("scale");
                double deviation =
                    isScale
                        ? 0.1
                        : name.contains("token") ? 0.5 : 1 / Math.sqrt(fanIn(name, shape));
                for (int i = 0; i < values.length; i++) {
                  values[i] = (float) (random.nextGaussian() * deviation) + (isScale ? 1 : 0);
                }
                if (name.endsWith(
                    HeadCalibration.AMOUNTS)) { // below 1/8, as calibration finds them
                  for (int i = 0; i < values.length; i++) {
                    values[i] = -Math.abs(values[i]);
                  }
                }
              }
              weights.put(name, NpyArray.of(values, shape.asArray()));
            });
    return weights;
  }

  private static long fanIn(String name, org.tensorflow.ndarray.Shape shape) {
    if (shape.numDimensions() == 1) {
      return 100;
    }
    return name.contains("attention/output") ? shape.get(0) * shape.get(1) : shape.get(0);
  }
}
