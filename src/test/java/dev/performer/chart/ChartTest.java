package dev.performer.chart;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.chart.Chart.Line;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.List;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;

class ChartTest {
  private static final Chart EMPTY =
      Chart.of(
          "title",
          "x",
          "y",
          new Chart.Layout(
              400, 300, Chart.Scale.POWERS_OF_TWO, Chart.Scale.DECADES, Chart.Legend.BESIDE));

  @Test
  void whatALogarithmicAxisCannotShowIsLeftOut() {
    double[] x = {0, 16, 64, 256};
    double[] y = {1, 0.01, Double.NaN, 300};
    assertThat(EMPTY.with(Line.of("a", x, y)).lines().get(0).x()).containsExactly(16, 256);
    assertThat(EMPTY.with(Line.of("none", new double[] {-1}, new double[] {1})).isEmpty()).isTrue();
  }

  @Test
  void chartsStandSideBySide() throws IOException {
    double[] x = {16, 64, 256};
    Chart one = EMPTY.with(Line.of("a", x, x).withColour(2).withDash(Line.Dash.DASHED));
    BufferedImage image =
        ImageIO.read(new ByteArrayInputStream(Chart.png(List.of(one, one, EMPTY))));
    assertThat(image.getWidth()).isEqualTo(1200);
    assertThat(image.getHeight()).isEqualTo(300);
  }
}
