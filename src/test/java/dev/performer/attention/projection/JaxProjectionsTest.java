package dev.performer.attention.projection;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.Threefry.Stream;
import dev.performer.data.NpyArray;
import dev.performer.testing.Golden;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.assertj.core.api.Assertions;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

class JaxProjectionsTest {
  private static final double TOLERANCE = 5e-6;
  private static final Pattern MATRIX =
      Pattern.compile("(legacy|partitionable)_(ortho0|ortho1|iid)_M(\\d+)_D(\\d+)_seed(-?\\d+)");
  private static final Pattern DRAW =
      Pattern.compile("(legacy|partitionable)_rng_seed(-?\\d+)_([a-z]+)(.*)");

  private final Golden golden = Golden.folder("jax_random");
  private final Map<String, NpyArray> arrays = Golden.folder("gr_jax").arrays("p_goldens.npz");

  @TestFactory
  List<DynamicTest> everyMatrixAndEveryDrawIsReproduced() {
    List<DynamicTest> tests = new ArrayList<>();
    arrays.forEach(
        (name, expected) -> {
          Matcher matrix = MATRIX.matcher(name);
          Matcher draw = DRAW.matcher(name);
          if (matrix.matches()) {
            tests.add(DynamicTest.dynamicTest(name, () -> checkMatrix(matrix, expected)));
          } else {
            assertThat(draw.matches()).as(name).isTrue();
            tests.add(DynamicTest.dynamicTest(name, () -> checkDraw(draw, expected)));
          }
        });
    assertThat(tests).hasSize(174);
    return tests;
  }

  private static Stream stream(String name) {
    return Stream.valueOf(name.toUpperCase(Locale.ROOT));
  }

  private static void checkMatrix(Matcher name, NpyArray expected) {
    JaxProjections projections =
        new JaxProjections(
            Integer.parseInt(name.group(3)),
            Integer.parseInt(name.group(4)),
            name.group(2).equals("iid") ? Directions.IID : Directions.ORTHOGONAL,
            name.group(2).equals("ortho1") ? Lengths.SQRT_D : Lengths.CHI,
            stream(name.group(1)));
    ProjectionMatrix p = projections.draw(Integer.parseInt(name.group(5)));
    assertThat(p.shape()).isEqualTo(expected.shape());
    assertThat(Golden.deviation(p.values(), expected.floats())).isLessThanOrEqualTo(TOLERANCE);
  }

  private static void checkDraw(Matcher name, NpyArray expected) {
    Threefry key = Threefry.ofSeed(stream(name.group(1)), (int) Long.parseLong(name.group(2)));
    String what = name.group(3) + name.group(4);
    switch (what) {
      case "key" -> assertThat(words(key)).isEqualTo(expected.ints());
      case "split2" -> assertThat(words(key.split(2))).isEqualTo(expected.ints());
      case "split5" -> assertThat(words(key.split(5))).isEqualTo(expected.ints());
      case "bits7" -> assertThat(key.bits(7)).isEqualTo(expected.ints());
      case "uniform7" -> assertThat(key.uniform(7)).isEqualTo(expected.floats());
      case "normal3x5" -> {
        assertThat(Golden.deviation(key.normal(15), expected.floats())).isLessThan(1e-6);
      }
      case "randint20" -> assertThat(key.randint(0, 25, 20)).isEqualTo(expected.ints());
      case "bernoulli20" -> {
        boolean[] drawn = key.bernoulli(0.15f, 20);
        for (int i = 0; i < drawn.length; i++) {
          assertThat(drawn[i]).isEqualTo(expected.ints()[i] != 0);
        }
      }
      default -> throw new AssertionError("an unknown draw: " + what);
    }
  }

  private static int[] words(Threefry... keys) {
    int[] words = new int[2 * keys.length];
    for (int i = 0; i < keys.length; i++) {
      words[2 * i] = keys[i].high();
      words[2 * i + 1] = keys[i].low();
    }
    return words;
  }

  @TestFactory
  List<DynamicTest> redrawsAreReproducedFromTheirSeeds() {
    Map<String, NpyArray> redraws = golden.arrays("redraws.npz");
    List<DynamicTest> tests = new ArrayList<>();
    for (JsonNode c : golden.index().get("redraws")) {
      String name = c.get("name").asText();
      tests.add(DynamicTest.dynamicTest(name, () -> checkRedraw(c, name, redraws)));
    }
    assertThat(tests).isNotEmpty();
    return tests;
  }

  private static void checkRedraw(JsonNode c, String name, Map<String, NpyArray> redraws) {
    int seed = redraws.get(name + "/seed").ints()[0];
    JsonNode args = c.get("factory_args");
    boolean iid =
        !args.path("ortho_features").asBoolean(true)
            || args.path("features_type").asText().equals("iid");
    for (Stream stream : Stream.values()) {
      String suffix = stream == Stream.LEGACY ? "_legacy" : "";
      NpyArray expected = redraws.get(name + "/P" + suffix);
      JaxProjections projections =
          new JaxProjections(
              (int) expected.shape()[0],
              (int) expected.shape()[1],
              iid ? Directions.IID : Directions.ORTHOGONAL,
              args.path("ortho_scaling").asDouble(0) == 1 ? Lengths.SQRT_D : Lengths.CHI,
              stream);
      assertThat(Golden.deviation(projections.draw(seed).values(), expected.floats()))
          .isLessThanOrEqualTo(TOLERANCE);
      float[] atConstruction = redraws.get(name + "/P_construct" + suffix).floats();
      assertThat(Golden.deviation(projections.draw(0).values(), atConstruction))
          .isLessThanOrEqualTo(TOLERANCE);
    }
  }

  @Test
  void theDocumentedValuesOfJaxAreReproduced() {
    Threefry legacy = Threefry.ofSeed(Stream.LEGACY, 0);
    assertThat(legacy.uniform(1)[0]).isEqualTo(0.41845703f);
    assertThat(Golden.deviation(legacy.split(2)[1].normal(1), new float[] {-1.2515389f}))
        .isLessThan(1e-6);
    assertThat(Threefry.ofSeed(Stream.PARTITIONABLE, 0).uniform(1)[0])
        .isCloseTo(0.947667f, Assertions.within(1e-6f));
  }

  @Test
  void impossibleArgumentsAreRefused() {
    assertThatThrownBy(() -> new JaxProjections(0, 4, Directions.IID, Lengths.CHI, Stream.LEGACY))
        .isInstanceOf(PerformerException.class);
    assertThatThrownBy(() -> Threefry.ofSeed(Stream.LEGACY, 0).randint(3, 3, 1))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("above 3");
  }
}
