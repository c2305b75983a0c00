package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.BusyException;
import dev.performer.NotFoundException;
import dev.performer.PerformerException;
import dev.performer.pipeline.TextEngine.Finished;
import dev.performer.pipeline.TextEngine.Reason;
import dev.performer.pipeline.TextEngine.Token;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.serving.Sampling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.proto.SavedModel;

class TextEngineTest extends TextEngines {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "positions: rotary, attention: {kernel: relu, causal: true}",
        "positions: learned, shiftBos: 21, attention: {kernel: softmax, features: 20, causal: true, exactHeads: 1}",
        "positions: rotary, attention: {kernel: sderf, features: 12, causal: true, window: 5, sinks: [0, 2]}",
        "positions: rotary, attention: {exact: true}"
      })
  void everyTextIsWhatItIsAlone(String rest) {
    Model model = model(folder.resolve("model"), SMALL.replace("positions: rotary, ", rest));
    everyTextIsWhatItIsAlone(model, true);
  }

  @Test
  void modelsWithoutExtendReadLongPromptsInTheBatch() throws IOException {
    Model model = model(folder.resolve("model"), FAVOR);
    Path file = model.path().resolve("saved_model.pb");
    var saved = SavedModel.parseFrom(Files.readAllBytes(file)).toBuilder();
    saved.getMetaGraphsBuilder(0).removeSignatureDef(PerformerSignatures.EXTEND);
    Files.write(file, saved.build().toByteArray());
    everyTextIsWhatItIsAlone(Model.open(model.path(), model.options()), true);
  }

  @Test
  void modelsWithoutStatesReadWholeTexts() {
    Model model = model(folder.resolve("model"), FAVOR);
    var options = model.options().withSignature("serving_default");
    everyTextIsWhatItIsAlone(model.with(options), false);
  }

  private void everyTextIsWhatItIsAlone(Model loaded, boolean hasStates) {
    with(
        loaded,
        OPTIONS,
        (engine, model) -> {
          Random random = new Random(11);
          List<TextRequest> requests = new ArrayList<>();
          List<Texts> texts = new ArrayList<>();
          String common = prompt(random, 40);
          for (int i = 0; i < 16; i++) {
            String start = random.nextInt(3) == 0 ? common : "";
            TextRequest request =
                TextRequest.of(i % 7 == 0 ? common : start + prompt(random, 30))
                    .withMaxTokens(1 + random.nextInt(14))
                    .withSampler(
                        Sampling.DEFAULT.withSeed(random.nextInt(5)).withGreedy(i % 5 == 0))
                    .withRow(random.nextInt(2));
            int cancelAfter = random.nextInt(4) == 0 ? 1 + random.nextInt(5) : Integer.MAX_VALUE;
            TextEngine.Ticket[] ticket = new TextEngine.Ticket[1];
            CountDownLatch submitted = new CountDownLatch(1);
            int[] count = {0};
            Texts text =
                new Texts(
                    token -> {
                      if (++count[0] == cancelAfter) {
                        await(submitted);
                        ticket[0].cancel();
                      }
                    });
            requests.add(request);
            texts.add(text);
            ticket[0] = engine.submit(request, text);
            submitted.countDown();
          }
          try (TextGenerator alone = TextGenerator.load(model)) {
            for (int i = 0; i < requests.size(); i++) {
              Finished found = texts.get(i).finished();
              TextRequest request = requests.get(i);
              var expected = alone(alone, request);
              List<Integer> ids = found.tokens().stream().map(Token::id).toList();
              assertThat(expected.tokens()).startsWith(ids.toArray(Integer[]::new));
              if (found.reason() != Reason.CANCELLED) {
                assertThat(ids).isEqualTo(expected.tokens());
                assertThat(found.text()).isEqualTo(expected.continuation());
                assertThat(texts.get(i).streamed()).isEqualTo(expected.continuation());
              }
              for (int n = 0; n < ids.size(); n++) {
                assertThat(found.tokens().get(n).logProbability())
                    .isCloseTo(expected.logProbabilities().get(n), within(1e-4));
              }
            }
          }
          engine.close(); // nothing comes after that
          assertThat(texts).noneMatch(Texts::isHeardTooOften);
          var numbers = engine.statistics();
          assertThat(numbers.finished() + numbers.cancelled()).isEqualTo(16);
          assertThat(numbers.cachedTokens() > 0).isEqualTo(hasStates);
        });
  }

  /** As the row of a batch whose other rows are of no interest. */
  private static TextGenerator.Generation alone(TextGenerator generator, TextRequest request) {
    List<String> prompts = new ArrayList<>();
    for (int i = 0; i < request.row(); i++) {
      prompts.add("A");
    }
    prompts.add(request.prompt());
    var options =
        GenerationOptions.DEFAULT
            .withSampler(request.sampler())
            .withMaxTokens(request.maxTokens().orElseThrow());
    return generator.generate(prompts, options).get(request.row());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{kernel: relu, causal: true}",
        "{kernel: hyperbolic, features: 12, causal: true, window: 4, sinks: [0, 1]}"
      })
  void aKnownPrefixIsNotReadAgain(String attention) {
    with(
        SMALL + "attention: " + attention,
        OPTIONS,
        (engine, model) -> {
          String prefix = prompt(new Random(1), 1).repeat(50);
          var first = Texts.run(engine, TextRequest.of(prefix + "MK").withMaxTokens(5));
          assertThat(first.cachedTokens()).isZero();
          var again = Texts.run(engine, TextRequest.of(prefix + "MK").withMaxTokens(5));
          assertThat(again.cachedTokens()).isEqualTo(52);
          assertThat(again.tokens()).isEqualTo(first.tokens());
          var other = Texts.run(engine, TextRequest.of(prefix + "WW").withMaxTokens(5));
          assertThat(other.cachedTokens()).isEqualTo(49);
          assertThat(engine.statistics().cacheBytes())
              .isPositive()
              .isLessThanOrEqualTo(OPTIONS.cacheBytes());
        });
  }

  @Test
  void stopsAcrossTokensAreNoPartOfTheText() {
    with(
        FAVOR,
        OPTIONS,
        (engine, model) -> {
          TextRequest request = TextRequest.of("MKT").withMaxTokens(40);
          String whole = Texts.run(engine, request).text();
          String stop = whole.substring(10, 13);
          Texts text = new Texts();
          engine.submit(request.withStops(List.of("no such text", stop)), text);
          assertThat(text.finished().reason()).isEqualTo(Reason.STOP);
          assertThat(text.finished().text()).isEqualTo(whole.substring(0, whole.indexOf(stop)));
          assertThat(text.streamed()).isEqualTo(text.finished().text());
          // What only begins a stop is given in the end.
          Texts held = new Texts();
          engine.submit(request.withStops(List.of(whole.substring(37) + "#")), held);
          assertThat(held.finished().text()).isEqualTo(whole);
          assertThat(held.finished().rest()).isEqualTo(whole.substring(37));
        });
  }

  @Test
  void likeliestTokensAndScoredPrompts() {
    with(
        FAVOR,
        OPTIONS,
        (engine, model) -> {
          Texts text = new Texts();
          String prompt = "MKTAYIAKQRQISFVK";
          engine.submit(
              TextRequest.of(prompt)
                  .withMaxTokens(4)
                  .withSampler(Sampling.mostLikely())
                  .withLikeliest(3)
                  .withScoredPrompt(true),
              text);
          for (Token token : text.finished().tokens()) {
            assertThat(token.likeliest()).hasSize(3);
            assertThat(token.likeliest().get(0).id()).isEqualTo(token.id());
            assertThat(token.likeliest().get(0).logProbability())
                .isEqualTo(token.logProbability(), within(1e-9))
                .isGreaterThanOrEqualTo(token.likeliest().get(1).logProbability());
          }
          assertThat(text.prompt.stream().map(Token::piece).toList())
              .isEqualTo(List.of(prompt.split("")));
          assertThat(text.prompt.get(0).logProbability()).isNaN();
          // What the model gives each token when it reads up to it only.
          for (int n = 1; n < prompt.length(); n += 5) {
            Token found = text.prompt.get(n);
            var one =
                Texts.run(
                    engine,
                    TextRequest.of(prompt.substring(0, n))
                        .withMaxTokens(1)
                        .withSampler(Sampling.mostLikely().withLogitBias(Map.of(found.id(), 1e6))));
            assertThat(one.tokens().get(0).id()).isEqualTo(found.id());
            assertThat(found.logProbability())
                .isCloseTo(one.tokens().get(0).logProbability(), within(1e-4));
          }
          Texts empty = new Texts();
          engine.submit(TextRequest.of("MK").withMaxTokens(0).withScoredPrompt(true), empty);
          assertThat(empty.finished().tokens()).isEmpty();
          assertThat(empty.prompt).hasSize(2);
        });
  }

  @Test
  void whatCannotRunIsRefusedAtOnce() {
    with(
        FAVOR,
        OPTIONS.withMaxBatch(1).withMaxQueue(1),
        (engine, model) -> {
          assertThatThrownBy(() -> engine.submit(TextRequest.of("MK?"), new Texts()))
              .hasMessageContaining("letters");
          assertThatThrownBy(() -> engine.submit(TextRequest.of(""), new Texts()))
              .hasMessageContaining("empty");
          assertThatThrownBy(() -> engine.submit(TextRequest.ofIds(List.of(99)), new Texts()))
              .hasMessageContaining("99");
          assertThatThrownBy(
                  () -> engine.submit(TextRequest.of("M").withSession("none"), new Texts()))
              .isInstanceOf(NotFoundException.class);
          CountDownLatch goesOn = new CountDownLatch(1);
          CountDownLatch runs = new CountDownLatch(1);
          Texts first =
              new Texts(
                  token -> {
                    runs.countDown();
                    await(goesOn);
                  });
          TextRequest request = TextRequest.of("M").withMaxTokens(3);
          engine.submit(request, first);
          runs.await();
          Texts second = new Texts();
          var ticket = engine.submit(request, second);
          assertThatThrownBy(() -> engine.submit(request, new Texts()))
              .isInstanceOf(BusyException.class);
          ticket.cancel();
          goesOn.countDown();
          assertThat(second.finished().reason()).isEqualTo(Reason.CANCELLED);
          assertThat(first.finished().reason()).isEqualTo(Reason.LENGTH);
          Texts late = new Texts();
          engine.submit(request.withDeadline(Instant.now().minusSeconds(1)), late);
          assertThat(late.finished().reason()).isEqualTo(Reason.CANCELLED);
          assertThat(engine.statistics().refused()).isEqualTo(1);
        });
  }

  @Test
  void aReceiverThatFailsAndAClosedEngineEndTheirTexts() {
    Texts[] open = {new Texts(), new Texts()};
    with(
        FAVOR,
        OPTIONS.withMaxBatch(1),
        (engine, model) -> {
          Texts broken =
              new Texts(
                  token -> {
                    throw new IllegalStateException("no more");
                  });
          engine.submit(TextRequest.of("M").withMaxTokens(3), broken);
          assertThatThrownBy(broken::finished)
              .isInstanceOf(PerformerException.class)
              .hasMessageContaining("no more");
          for (Texts text : open) {
            engine.submit(TextRequest.of("M").withMaxTokens(390), text);
          }
          engine.close();
          assertThatThrownBy(() -> engine.submit(TextRequest.of("M"), new Texts()))
              .hasMessageContaining("closed");
        });
    for (Texts text : open) {
      assertThat(text.isOver()).isTrue();
    }
  }
}
