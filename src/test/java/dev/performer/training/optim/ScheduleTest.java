package dev.performer.training.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class ScheduleTest {
  @Test
  void constantWarmsUpAndStays() {
    var schedule = new Schedule.Constant(2.0, 4);
    assertThat(new double[] {at(schedule, 0), at(schedule, 1), at(schedule, 3), at(schedule, 99)})
        .containsExactly(new double[] {0.5, 1.0, 2.0, 2.0}, within(1e-12));
    assertThat(new Schedule.Constant(2.0, 0).at(0, 1)).isEqualTo(2.0);
  }

  @Test
  void linearFallsToItsFloorAtTheLastStep() {
    var schedule = new Schedule.Linear(1.0, 10, 0.2);
    assertThat(at(schedule, 0)).isCloseTo(0.1, within(1e-12));
    assertThat(at(schedule, 9)).isCloseTo(1.0, within(1e-12));
    assertThat(at(schedule, 54)).isCloseTo(0.6, within(1e-12));
    assertThat(at(schedule, 99)).isCloseTo(0.2, within(1e-12));
    assertThat(at(schedule, 500)).isCloseTo(0.2, within(1e-12));
  }

  @Test
  void cosineIsHalfwayInTheMiddle() {
    var schedule = new Schedule.Cosine(1.0, 10, 0.0);
    assertThat(at(schedule, 9)).isCloseTo(1.0, within(1e-12));
    assertThat(at(schedule, 54)).isCloseTo(0.5, within(1e-12));
    assertThat(at(schedule, 99)).isCloseTo(0.0, within(1e-12));
  }

  @Test
  void inverseSquareRootFallsFromTheWarmUpOn() {
    var schedule = new Schedule.InverseSquareRoot(1.0, 16);
    assertThat(at(schedule, 7)).isCloseTo(0.5, within(1e-12));
    assertThat(at(schedule, 15)).isCloseTo(1.0, within(1e-12));
    assertThat(at(schedule, 63)).isCloseTo(0.5, within(1e-12));
  }

  @Test
  void aRunShorterThanItsWarmUpHasNoSurprises() {
    for (Schedule schedule :
        new Schedule[] {new Schedule.Linear(1, 20, 0), new Schedule.Cosine(1, 20, 0)}) {
      assertThat(schedule.at(4, 5)).isCloseTo(0.25, within(1e-12));
      assertThat(schedule.at(0, 1)).isCloseTo(0.05, within(1e-12));
    }
  }

  private static double at(Schedule schedule, long step) {
    return schedule.at(step, 100);
  }
}
