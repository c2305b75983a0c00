package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.serving.Sampling;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the Javadoc calls safe for use by several threads: eight of them get what one gets. */
class ManyThreadsTest {
  private static final int THREADS = 8;
  private static final int CALLS = 6;
  private static final List<String> TEXTS =
      List.of("MKT", "ACDEFGHIK", "MKVLAAGIVGA", "WWYTS", "GGGGSGGGGS", "LLLPA", "MNQR", "HHHHHH");
  @TempDir static Path folder;
  private static Model model;

  @BeforeAll
  static void importModel() {
    Path lm = folder.resolve("lm");
    Importer.of(Path.of("savedmodels/checkpoints/lm_relu")).write(lm, false);
    model = Model.open(lm);
  }

  @Test
  void predictor() throws Exception {
    try (Predictor predictor = Predictor.load(model)) {
      compare(
          text -> {
            Map<String, NpyArray> outputs = predictor.predict(List.of(text));
            return List.of(outputs.get("logits"), outputs.get("tokens"));
          });
    }
  }

  @Test
  void scorer() throws Exception {
    try (Scorer scorer = Scorer.load(model)) {
      compare(text -> scorer.score(text).sum());
    }
  }

  @Test
  void embedder() throws Exception {
    try (Embedder embedder = Embedder.load(model)) {
      compare(text -> embedder.embed(text));
    }
  }

  @Test
  void textGenerator() throws Exception {
    GenerationOptions options =
        GenerationOptions.DEFAULT.withMaxTokens(12).withSampler(Sampling.DEFAULT.withSeed(3));
    try (TextGenerator generator = TextGenerator.load(model)) {
      compare(
          text -> {
            StringBuilder streamed = new StringBuilder();
            String whole = generator.stream(text, options, streamed::append).continuation();
            assertThat(streamed).hasToString(whole);
            return whole;
          });
    }
  }

  private interface Use {
    Object of(String text);
  }

  /** All threads begin at once, each with texts of its own. */
  private static void compare(Use use) throws Exception {
    List<Object> alone = TEXTS.stream().map(use::of).toList();
    ExecutorService pool = Executors.newFixedThreadPool(THREADS);
    CyclicBarrier start = new CyclicBarrier(THREADS);
    try {
      List<Future<List<Object>>> all = new ArrayList<>();
      for (int t = 0; t < THREADS; t++) {
        int first = t;
        Callable<List<Object>> calls =
            () -> {
              start.await();
              List<Object> results = new ArrayList<>();
              for (int i = 0; i < CALLS; i++) {
                results.add(use.of(TEXTS.get((first + i) % TEXTS.size())));
              }
              return results;
            };
        all.add(pool.submit(calls));
      }
      for (int t = 0; t < THREADS; t++) {
        List<Object> results = all.get(t).get();
        for (int i = 0; i < CALLS; i++) {
          assertThat(results.get(i))
              .usingRecursiveComparison()
              .isEqualTo(alone.get((t + i) % TEXTS.size()));
        }
      }
    } finally {
      pool.shutdownNow();
    }
  }
}
