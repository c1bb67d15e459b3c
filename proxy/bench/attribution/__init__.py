"""`jevons bench attribution`: how near each request's joules come to the truth, which only a simulation knows."""
