package dev.performer.pipeline;

import dev.performer.MemoryProbe;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** A thousand texts, some cancelled, with sessions and forks, leave nothing. */
class EngineLeakTest extends TextEngines {
  private static final int STEPS = 250;
  private static final long ALLOWED = 24L << 20;

  @Test
  void textsThatComeAndGoLeaveNothing() {
    String yaml =
        SMALL.replace("hiddenSize: 16", "hiddenSize: 64")
            + "attention: {kernel: relu, features: 128, causal: true, exactHeads: 1}";
    with(
        yaml,
        OPTIONS.withCacheBytes(4 << 20),
        (engine, model) ->
            MemoryProbe.assertFlat(
                STEPS / 4,
                STEPS,
                ALLOWED,
                probe -> {
                  for (int seed = 0; seed < 5; seed++) {
                    run(engine, new Random(seed), false); // fills the cache
                  }
                  for (int step = 1; step <= STEPS; step++) {
                    run(engine, new Random(step % 5), true);
                    probe.step(step);
                  }
                }));
  }

  private static void run(TextEngine engine, Random random, boolean cancels) {
    List<Texts> all = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      Texts text = new Texts();
      var request = TextRequest.of(prompt(random, 20)).withMaxTokens(1 + random.nextInt(8));
      var ticket = engine.submit(request, text);
      if (i == 0 && cancels) {
        ticket.cancel();
      }
      all.add(text);
    }
    String id = engine.sessions().open(TextRequest.of("MKTAYIAKQ")).id();
    String fork = engine.sessions().fork(id).id();
    Texts.run(engine, TextRequest.of("").withMaxTokens(3).withSession(id));
    all.forEach(Texts::finished);
    engine.sessions().delete(id);
    engine.sessions().delete(fork);
    while (engine.statistics().running() > 0) {
      Thread.yield(); // until the batch is closed
    }
  }
}
