package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.BusyException;
import dev.performer.NotFoundException;
import dev.performer.PerformerException;
import dev.performer.pipeline.Sessions.Session;
import dev.performer.serving.Sampling;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SessionsTest extends TextEngines {
  private static TextRequest greedy(String prompt, int tokens) {
    return TextRequest.of(prompt).withMaxTokens(tokens).withSampler(Sampling.mostLikely());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "attention: {kernel: relu, causal: true, exactHeads: 1}",
        "attention: {kernel: hyperbolic, features: 12, causal: true, window: 4, sinks: [0]}",
        "attention: {exact: true}"
      })
  void sessionsGoOnAsTheWholeTextWould(String attention) {
    with(
        SMALL + attention,
        OPTIONS,
        (engine, model) -> {
          Sessions sessions = engine.sessions();
          Session session = sessions.open(TextRequest.of("MKTAYIAKQRQISFVKSHFSRQ"));
          assertThat(session.tokens()).isEqualTo(22);
          assertThat(session.bytes()).isEqualTo(sessions.totalBytes()).isPositive();
          Session fork = sessions.fork(session.id());
          assertThat(sessions.totalBytes()).isEqualTo(session.bytes());

          String text = "MKTAYIAKQRQISFVKSHFSRQ";
          for (String more : new String[] {"", "LEE", "RLGLIEVQ"}) {
            String whole = Texts.run(engine, greedy(text + more, 9)).text();
            var found = Texts.run(engine, greedy(more, 9).withSession(session.id()));
            assertThat(found.text()).isEqualTo(whole);
            assertThat(found.promptTokens()).isEqualTo(more.length());
            text += more + whole;
            assertThat(sessions.get(session.id()).tokens()).isEqualTo(text.length());
          }
          assertThat(sessions.get(fork.id()).tokens()).isEqualTo(22);
          assertThat(Texts.run(engine, greedy("W", 5).withSession(fork.id())).text())
              .isEqualTo(Texts.run(engine, greedy("MKTAYIAKQRQISFVKSHFSRQW", 5)).text());
          assertThat(sessions.totalBytes())
              .isEqualTo(sessions.get(fork.id()).bytes() + sessions.get(session.id()).bytes());

          sessions.delete(fork.id());
          assertThat(sessions.list()).extracting(Session::id).containsExactly(session.id());
          assertThatThrownBy(() -> sessions.get(fork.id())).isInstanceOf(NotFoundException.class);
          sessions.delete(session.id());
          assertThat(sessions.totalBytes()).isZero();
        });
  }

  @Test
  void aSessionGoesOnOnceAtATimeAndStaysWhereThatIsCancelled() {
    with(
        FAVOR,
        OPTIONS,
        (engine, model) -> {
          String id = engine.sessions().open(TextRequest.of("MKT")).id();
          CountDownLatch goesOn = new CountDownLatch(1);
          CountDownLatch runs = new CountDownLatch(1);
          Texts text =
              new Texts(
                  token -> {
                    runs.countDown();
                    await(goesOn);
                  });
          var ticket = engine.submit(greedy("A", 100).withSession(id), text);
          runs.await();
          assertThatThrownBy(() -> engine.submit(greedy("A", 1).withSession(id), new Texts()))
              .isInstanceOf(BusyException.class);
          ticket.cancel();
          goesOn.countDown();
          text.finished();
          assertThat(engine.sessions().get(id).tokens()).isEqualTo(3);
          assertThatThrownBy(() -> engine.submit(greedy("?", 1).withSession(id), new Texts()))
              .hasMessageContaining("letters");
          assertThat(Texts.run(engine, greedy("", 2).withSession(id)).tokens()).hasSize(2);
        });
  }

  @Test
  void openingEndsWhereItIsCancelled() {
    with(
        FAVOR,
        OPTIONS,
        (engine, model) -> {
          CountDownLatch goesOn = new CountDownLatch(1);
          CountDownLatch runs = new CountDownLatch(1);
          Texts first =
              new Texts(
                  token -> {
                    runs.countDown();
                    await(goesOn);
                  });
          engine.submit(greedy("A", 2), first);
          runs.await(); // so that nothing is read meanwhile
          Sessions sessions = engine.sessions();
          assertThatThrownBy(
                  () ->
                      sessions.open(
                          TextRequest.of("MKT"),
                          ticket -> {
                            ticket.cancel();
                            goesOn.countDown();
                          }))
              .isInstanceOf(PerformerException.class)
              .hasMessage("the prompt was cancelled");
          first.finished();
          assertThat(sessions.list()).isEmpty();
          assertThat(sessions.totalBytes()).isZero();
        });
  }

  @Test
  void aPromptIsAsLongAsThePositionsAtMost() {
    with(
        FAVOR.replace("rotary", "learned").replace("maxLength: 400", "maxLength: 12"),
        OPTIONS,
        (engine, model) -> {
          String id = engine.sessions().open(TextRequest.of("MKTAYIAKQRQI")).id();
          assertThat(Texts.run(engine, greedy("", 1).withSession(id)).tokens()).hasSize(1);
          assertThatThrownBy(() -> engine.sessions().open(TextRequest.of("MKTAYIAKQRQIS")))
              .hasMessageContaining("shorten the prompt");
          assertThatThrownBy(() -> engine.submit(greedy("", 1).withSession(id), new Texts()))
              .hasMessageContaining("12 positions");
          assertThat(engine.sessions().get(id).tokens()).isEqualTo(13);
        });
  }

  @Test
  void memoryAndTimeAreLimited() {
    with(
        FAVOR,
        OPTIONS,
        (engine, model) -> {
          Session one = engine.sessions().open(TextRequest.of("MKT"));
          long bytes = one.bytes();
          with(
              model,
              OPTIONS.withSessionBytes(2 * bytes),
              (small, same) -> {
                String first = small.sessions().open(TextRequest.of("MKT")).id();
                String second = small.sessions().open(TextRequest.of("MKV")).id();
                small.sessions().fork(first); // used again, at no cost
                small.sessions().open(TextRequest.of("MKW"));
                assertThat(small.sessions().list()).extracting(Session::id).contains(first);
                assertThatThrownBy(() -> small.sessions().get(second))
                    .isInstanceOf(NotFoundException.class);
                assertThat(small.sessions().totalBytes()).isEqualTo(2 * bytes);
              });
          with(
              model,
              OPTIONS.withSessionBytes(bytes - 1),
              (small, same) ->
                  assertThatThrownBy(() -> small.sessions().open(TextRequest.of("MKT")))
                      .hasMessageContaining(Long.toString(bytes)));
          with(
              model,
              OPTIONS.withSessionExpiry(Duration.ofNanos(1)),
              (brief, same) -> {
                String id = brief.sessions().open(TextRequest.of("MKT")).id();
                assertThatThrownBy(() -> brief.sessions().get(id))
                    .isInstanceOf(NotFoundException.class);
                assertThat(brief.sessions().totalBytes()).isZero();
              });
        });
  }

  @Test
  void aSessionThatGrowsTooLargeStaysAsItWas() {
    with(
        SMALL + "attention: {exact: true}", // states grow with the text
        OPTIONS,
        (engine, model) -> {
          long bytes = engine.sessions().open(TextRequest.of("MKT")).bytes();
          with(
              model,
              OPTIONS.withSessionBytes(bytes + 1),
              (small, same) -> {
                String id = small.sessions().open(TextRequest.of("MKT")).id();
                for (int time = 0; time < 2; time++) { // as too large, not as busy
                  assertThatThrownBy(() -> Texts.run(small, greedy("AKQ", 5).withSession(id)))
                      .hasMessageContaining("all sessions may take " + (bytes + 1));
                }
                assertThat(small.sessions().get(id).tokens()).isEqualTo(3);
                assertThat(small.sessions().totalBytes()).isEqualTo(bytes);
              });
        });
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "attention: {kernel: relu, causal: true, exactHeads: 1}",
        "attention: {kernel: sderf, features: 6, causal: true, window: 3, sinks: [0]}"
      })
  void savedSessionsGoOnElsewhere(String attention) {
    with(
        SMALL + attention,
        OPTIONS,
        (engine, model) -> {
          Sessions sessions = engine.sessions();
          String id = sessions.open(TextRequest.of("MKTAYIAKQRQ")).id();
          Texts.run(engine, greedy("LEE", 4).withSession(id));
          Path file = folder.resolve("session");
          sessions.save(id, file);
          String expected = Texts.run(engine, greedy("A", 8).withSession(id)).text();
          with(
              model,
              OPTIONS,
              (other, same) -> {
                Session loaded = other.sessions().load(file);
                assertThat(loaded.tokens()).isEqualTo(18);
                assertThat(Texts.run(other, greedy("A", 8).withSession(loaded.id())).text())
                    .isEqualTo(expected);
              });
          byte[] whole = Files.readAllBytes(file);
          for (int at = 0; at < whole.length; at += 97) {
            byte[] changed = whole.clone();
            changed[at] ^= 1;
            requireRefused(sessions, changed);
            byte[] cut = Arrays.copyOf(whole, at);
            requireRefused(sessions, cut);
          }
          requireRefused(sessions, Arrays.copyOf(whole, whole.length + 1));
          assertThat(sessions.list()).hasSize(1);
          assertThatThrownBy(() -> sessions.load(folder.resolve("none")))
              .isInstanceOf(NotFoundException.class);

          Model another = model(folder.resolve("another"), FAVOR);
          with(
              another,
              OPTIONS,
              (other, same) ->
                  assertThatThrownBy(() -> other.sessions().load(file))
                      .hasMessageContaining("another model")
                      .hasMessageContaining(file.toString()));
        });
  }

  private static void requireRefused(Sessions sessions, byte[] file) {
    assertThatThrownBy(() -> sessions.load(new ByteArrayInputStream(file)))
        .isInstanceOf(PerformerException.class);
  }

  @Test
  void modelsWithoutStatesHaveSessionsToo() {
    Model own = model(folder.resolve("model"), FAVOR);
    with(
        own.with(own.options().withSignature("serving_default")),
        OPTIONS,
        (engine, model) -> {
          String id = engine.sessions().open(TextRequest.of("MKT")).id();
          var out = new ByteArrayOutputStream();
          engine.sessions().save(id, out);
          String other = engine.sessions().load(new ByteArrayInputStream(out.toByteArray())).id();
          String expected = Texts.run(engine, greedy("MKTLE", 6)).text();
          assertThat(Texts.run(engine, greedy("LE", 6).withSession(id)).text()).isEqualTo(expected);
          assertThat(Texts.run(engine, greedy("LE", 6).withSession(other)).text())
              .isEqualTo(expected);
        });
  }
}
