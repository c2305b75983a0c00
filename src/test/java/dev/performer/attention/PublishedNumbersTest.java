package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.attention.projection.JaxProjections;
import dev.performer.attention.projection.ModelGardenProjections;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.attention.projection.TensorFlowProjections;
import dev.performer.attention.projection.Threefry;
import dev.performer.attention.projection.Threefry.Stream;
import dev.performer.testing.Golden;
import org.junit.jupiter.api.Test;

/** Projections worked out from the formulas alone, in float64. */
class PublishedNumbersTest {

  @Test
  void tensorFlow() {
    float[] expected = {
      -0.20522f, -1.24596f, -0.49392f, -0.66884f, 1.89615f, 0.23654f, -0.65337f, -0.53994f,
      0.06014f, -0.28324f, -0.89495f, 1.17008f, 0.85086f, -1.12023f, 1.42394f, 0.77421f,
      -0.39631f, 0.04848f, -0.35312f, 0.90691f
    };
    assertClose(new TensorFlowProjections(5, 4, 0, Lengths.CHI).first(), expected);
  }

  @Test
  void modelGarden() {
    float[] expected = {
      -1.18858f, 1.4239f, -0.78705f, 1.26191f, -1.36591f, -0.63852f, 0.96414f, 0.03528f,
      -0.42059f, 0.34793f, -0.32906f, -0.99398f, -0.32394f, -1.04684f, -1.15786f, 0.15395f,
      -1.28606f, 1.81877f, -0.38192f, 1.9219f
    };
    assertClose(ModelGardenProjections.ofLayer(5, 4, 0), expected);
  }

  @Test
  void legacyJax() {
    float[] expected = {
      -0.145393f, -0.330672f, -0.173924f, -2.21285f, 0.097249f, -1.742326f, -1.249318f, 0.352164f,
      -0.536243f, 1.424897f, -2.033959f, -0.017829f, -1.506102f, -0.229554f, 0.235255f, 0.114769f,
      -0.396334f, 0.546679f, 0.301428f, 0.630661f
    };
    assertClose(jax(Stream.LEGACY), expected);
  }

  @Test
  void partitionableJax() {
    float[] expected = {
      -1.113057f, -0.762783f, -1.052607f, 0.912491f, 1.139855f, -1.130799f, -0.309921f, 0.087612f,
      0.627923f, 1.197779f, -2.316802f, -0.905346f, 0.801089f, 0.942384f, 0.010088f, 1.776577f,
      -0.903595f, -0.561869f, -0.641981f, 0.046925f
    };
    assertClose(jax(Stream.PARTITIONABLE), expected);
  }

  @Test
  void keysOfJax() {
    Threefry legacy = Threefry.ofSeed(Stream.LEGACY, 0).split(2)[1];
    assertThat(Integer.toUnsignedLong(legacy.high())).isEqualTo(2718843009L);
    assertThat(Integer.toUnsignedLong(legacy.low())).isEqualTo(1272950319L);
    Threefry partitionable = Threefry.ofSeed(Stream.PARTITIONABLE, 0).split(2)[0];
    assertThat(Integer.toUnsignedLong(partitionable.high())).isEqualTo(1797259609L);
    assertThat(Integer.toUnsignedLong(partitionable.low())).isEqualTo(2579123966L);
  }

  private static ProjectionMatrix jax(Stream stream) {
    return new JaxProjections(5, 4, Directions.ORTHOGONAL, Lengths.CHI, stream).draw(0);
  }

  private static void assertClose(ProjectionMatrix actual, float[] expected) {
    assertThat(Golden.deviation(actual.values(), expected)).isLessThan(1e-5);
  }
}
