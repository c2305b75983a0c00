package dev.performer.pipeline;

import dev.performer.data.Tokenizer;
import dev.performer.serving.CausalModels;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.io.TempDir;

/** Models of random weights for engines, and texts for them. */
abstract class TextEngines {
  static final String LETTERS = "letters:ACDEFGHIKLMNPQRSTVWY";
  static final String SMALL =
      "preset: performer, task: causal-lm, vocabularySize: 24, padId: null, hiddenSize: 16, heads: 2,"
          + " layers: 2, mlpSize: 16, maxLength: 400, positions: rotary, ";
  static final String FAVOR = SMALL + "attention: {kernel: relu, causal: true}";
  static final EngineOptions OPTIONS =
      EngineOptions.DEFAULT.withMaxBatch(6).withChunk(7).withCacheBytes(1 << 20);

  @TempDir Path folder;

  static Model model(Path folder, String yaml) {
    Path path = CausalModels.write(folder, "{" + yaml + "}");
    return Model.open(path, ModelOptions.DEFAULT.withTokenizer(Tokenizer.named(LETTERS)));
  }

  interface Use {
    void of(TextEngine engine, Model model) throws Exception;
  }

  void with(String yaml, EngineOptions options, Use use) {
    with(model(folder.resolve("model"), yaml), options, use);
  }

  static void with(Model model, EngineOptions options, Use use) {
    try (Predictor loaded = Predictor.load(model);
        TextEngine engine = TextEngine.of(loaded, options)) {
      use.of(engine, model);
    } catch (RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  static String prompt(Random random, int longest) {
    String letters = LETTERS.substring(8);
    var text = new StringBuilder();
    for (int n = 1 + random.nextInt(longest); n > 0; n--) {
      text.append(letters.charAt(random.nextInt(letters.length())));
    }
    return text.toString();
  }

  static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
